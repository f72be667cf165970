//! Tries a feature of the host's kernel, in a launcher that ends afterwards.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use crate::error::{Doing as _, Result};

use super::init::{guest_map, id_map, wait_for};
use super::plan::HostFeature;
use super::syscall::{self, Side};
use super::{assemble, confine, loops};

/// Any range does for a trial.
const IDS: u32 = 0x2000_0000;

/// Does with the feature what a workload would, in `folder`.
pub(super) fn run(feature: HostFeature, folder: &Path) -> Result<()> {
    match feature {
        HostFeature::UserNamespaces => id_map(&guest_map(IDS)).map(drop),
        HostFeature::PidNamespaces => {
            let flags = syscall::NAMESPACES | libc::CLONE_NEWNET;
            match syscall::clone(flags).doing(|| "make namespaces".to_owned())? {
                Side::Child => syscall::exit_now(0),
                Side::Parent(pid) => {
                    wait_for(pid);
                    Ok(())
                }
            }
        }
        HostFeature::IdMappedMounts => {
            let ids = id_map(&guest_map(IDS))?;
            let tree = assemble::clone_tree(folder)?;
            syscall::set_mount(tree.as_fd(), 0, Some(ids.as_fd()))
                .doing(|| "map a mount's ids".to_owned())
        }
        HostFeature::Overlay => {
            assemble::leave_host_mounts()?;
            for name in ["lower", "upper", "work", "root"] {
                fs::create_dir(folder.join(name)).doing(|| format!("make {name}"))?;
            }
            rustix::process::chdir(folder).doing(|| "enter a folder".to_owned())?;
            let options = c"lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=on";
            mount("overlay", "root", "overlay", MountFlags::empty(), options)
                .doing(|| "mount an overlay".to_owned())
        }
        HostFeature::LoopDevices => {
            let file = folder.join("disk");
            fs::File::create(&file)
                .and_then(|disk| disk.set_len(1 << 20))
                .doing(|| "make a disk".to_owned())?;
            loops::attach(&file).map(drop)
        }
        HostFeature::Seccomp => {
            confine::try_filter().doing(|| "load a system call filter".to_owned())
        }
    }
}
