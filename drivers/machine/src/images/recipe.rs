//! What images are made of.

use md5::{Digest as _, Md5};

/// An image that can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageRecipe {
    /// Debian 12 with systemd, sshd and an agent that honours user data.
    Debian12,
    /// The same with Apache, PHP, the MariaDB client and the AWS CLI; nothing of it is started.
    Debian12Lamp,
}

impl ImageRecipe {
    /// All recipes.
    pub const ALL: [Self; 2] = [Self::Debian12, Self::Debian12Lamp];

    /// Its name, as in an image's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian12 => "debian-12",
            Self::Debian12Lamp => "debian-12-lamp",
        }
    }

    /// Its parts, the lowest first. Skyhold's own files are a layer of their own, so that a change
    /// of them does not build the rest anew.
    pub(super) fn parts(self) -> &'static [Part] {
        match self {
            Self::Debian12 => &[Part::Debian12, Part::Files],
            Self::Debian12Lamp => &[Part::Debian12, Part::Lamp, Part::Files],
        }
    }
}

/// A layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A whole Debian 12.
    Debian12,
    /// What a web server needs, on top of that.
    Lamp,
    /// Skyhold's own files.
    Files,
}

/// The image's own files: path, permission bits, content. Not in `lib` or `bin`, which are links.
const FILES: &[(&str, u32, &str)] = &[
    ("usr/lib/systemd/system/skyhold-identity.service", 0o644, IDENTITY_UNIT),
    ("usr/lib/systemd/system/skyhold-first-boot.service", 0o644, FIRST_BOOT_UNIT),
    ("etc/systemd/system/ssh.service", 0o644, include_str!("assets/ssh.service")),
    ("etc/ssh/sshd_config.d/50-cloud.conf", 0o644, include_str!("assets/sshd.conf")),
    ("usr/lib/skyhold/identity", 0o755, include_str!("assets/identity.sh")),
    ("usr/lib/skyhold/first-boot", 0o755, include_str!("assets/first-boot.py")),
    ("usr/local/bin/cfn-signal", 0o755, include_str!("assets/cfn-signal.py")),
    ("etc/sudoers.d/90-cloud-users", 0o440, SUDOERS),
    ("etc/systemd/journald.conf.d/50-cloud.conf", 0o644, JOURNAL),
];

const IDENTITY_UNIT: &str = include_str!("assets/skyhold-identity.service");
const FIRST_BOOT_UNIT: &str = include_str!("assets/skyhold-first-boot.service");
const SUDOERS: &str = "admin ALL=(ALL) NOPASSWD:ALL\nec2-user ALL=(ALL) NOPASSWD:ALL\n";

/// The journal lives in memory and small: logs that must last go to files or to CloudWatch.
const JOURNAL: &str = "[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\nForwardToSyslog=no\n";

/// What finishes the base image.
pub(super) const FINISH_BASE: &str = include_str!("assets/finish-base.sh");
/// What installs packages on top of an image.
pub(super) const LAYER: &str = include_str!("assets/layer.sh");

/// The Debian release.
pub(super) const SUITE: &str = "bookworm";

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Debian12 => "part-debian-12",
            Self::Lamp => "part-lamp",
            Self::Files => "part-files",
        }
    }

    pub(super) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Debian12 => &[
                "ca-certificates",
                "curl",
                "dbus",
                "iproute2",
                "iputils-ping",
                "less",
                "libnss-myhostname",
                "netbase",
                "openssh-server",
                "openssl",
                "procps",
                "python3",
                "python3-yaml",
                "sudo",
                "systemd",
                "systemd-sysv",
                "tzdata",
            ],
            Self::Lamp => &[
                "apache2",
                "libapache2-mod-php",
                "mariadb-client",
                "php-cli",
                "php-curl",
                "php-mysql",
                "php-pgsql",
                "php-redis",
                "php-xml",
            ],
            Self::Files => &[],
        }
    }

    /// Packages that the release's own version of is too old. The AWS CLI follows
    /// `AWS_ENDPOINT_URL` since 2.13.
    pub(super) fn backports(self) -> &'static [&'static str] {
        match self {
            Self::Lamp => &["awscli"],
            Self::Debian12 | Self::Files => &[],
        }
    }

    pub(super) fn files(self) -> &'static [(&'static str, u32, &'static str)] {
        match self {
            Self::Files => FILES,
            Self::Debian12 | Self::Lamp => &[],
        }
    }

    /// A hash of everything in the part's recipe and of what it stands on: another recipe is
    /// another layer.
    pub(super) fn hash(self, below: &str) -> String {
        let mut digest = Md5::new();
        match self {
            // Files go on top of anything.
            Self::Files => {}
            Self::Debian12 | Self::Lamp => digest.update(below),
        }
        for package in self.packages().iter().chain(self.backports()) {
            digest.update(package);
            digest.update([0]);
        }
        for (path, mode, content) in self.files() {
            digest.update(format!("{path}\0{mode:o}\0{content}\0"));
        }
        let scripts = match self {
            Self::Debian12 => [super::debian::BOOTSTRAP, FINISH_BASE],
            Self::Lamp => [LAYER, ""],
            Self::Files => ["", ""],
        };
        for script in scripts {
            digest.update(script);
        }
        hex(&digest.finalize())
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
