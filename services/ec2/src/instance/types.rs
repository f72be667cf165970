//! Instance types: a table of common families, and the operations that tell it.
//!
//! AWS: "Amazon EC2 instance type specifications", "Maximum IP addresses per network interface".

use ec2_api::{
    ArchitectureType, BootModeType, DescribeInstanceTypeOfferingsInput,
    DescribeInstanceTypeOfferingsOutput, DescribeInstanceTypesInput, DescribeInstanceTypesOutput,
    EbsEncryptionSupport, EbsInfo, EbsNvmeSupport, EbsOptimizedSupport, EnaSupport,
    InstanceTypeHypervisor, InstanceTypeInfo, InstanceTypeOffering, LocationType, MemoryInfo,
    NetworkCardInfo, NetworkInfo, PlacementGroupInfo, PlacementGroupStrategy, ProcessorInfo,
    RootDeviceType, UsageClassType, VCpuInfo, VirtualizationType,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};

/// What a family's types share.
#[derive(Debug)]
struct Family {
    name: &'static str,
    clock_ghz: f64,
    manufacturer: &'static str,
    hypervisor: InstanceTypeHypervisor,
    burstable: bool,
    threads_per_core: i32,
    current: bool,
    sizes: &'static [Size],
}

/// A size of a family: name, vCPUs, memory in MiB, interfaces, IPv4 addresses of each, network.
type Size = (&'static str, i32, i64, i32, i32, &'static str);

const UP_TO_5: &str = "Up to 5 Gigabit";
const UP_TO_10: &str = "Up to 10 Gigabit";
const UP_TO_12: &str = "Up to 12.5 Gigabit";
const LOW: &str = "Low to Moderate";

const T2: &[Size] = &[
    ("nano", 1, 512, 2, 2, LOW),
    ("micro", 1, 1024, 2, 2, LOW),
    ("small", 1, 2048, 3, 4, LOW),
    ("medium", 2, 4096, 3, 6, LOW),
    ("large", 2, 8192, 3, 12, LOW),
    ("xlarge", 4, 16_384, 3, 15, "Moderate"),
    ("2xlarge", 8, 32_768, 3, 15, "Moderate"),
];
const T3: &[Size] = &[
    ("nano", 2, 512, 2, 2, UP_TO_5),
    ("micro", 2, 1024, 2, 2, UP_TO_5),
    ("small", 2, 2048, 3, 4, UP_TO_5),
    ("medium", 2, 4096, 3, 6, UP_TO_5),
    ("large", 2, 8192, 3, 12, UP_TO_5),
    ("xlarge", 4, 16_384, 4, 15, UP_TO_5),
    ("2xlarge", 8, 32_768, 4, 15, UP_TO_5),
];
const M5: &[Size] = &[
    ("large", 2, 8192, 3, 10, UP_TO_10),
    ("xlarge", 4, 16_384, 4, 15, UP_TO_10),
    ("2xlarge", 8, 32_768, 4, 15, UP_TO_10),
    ("4xlarge", 16, 65_536, 8, 30, UP_TO_10),
];
const M6: &[Size] = &[
    ("large", 2, 8192, 3, 10, UP_TO_12),
    ("xlarge", 4, 16_384, 4, 15, UP_TO_12),
    ("2xlarge", 8, 32_768, 4, 15, UP_TO_12),
    ("4xlarge", 16, 65_536, 8, 30, UP_TO_12),
];
const C5: &[Size] = &[
    ("large", 2, 4096, 3, 10, UP_TO_10),
    ("xlarge", 4, 8192, 4, 15, UP_TO_10),
    ("2xlarge", 8, 16_384, 4, 15, UP_TO_10),
    ("4xlarge", 16, 32_768, 8, 30, UP_TO_10),
];
const C6: &[Size] = &[
    ("large", 2, 4096, 3, 10, UP_TO_12),
    ("xlarge", 4, 8192, 4, 15, UP_TO_12),
    ("2xlarge", 8, 16_384, 4, 15, UP_TO_12),
    ("4xlarge", 16, 32_768, 8, 30, UP_TO_12),
];
const R5: &[Size] = &[
    ("large", 2, 16_384, 3, 10, UP_TO_10),
    ("xlarge", 4, 32_768, 4, 15, UP_TO_10),
    ("2xlarge", 8, 65_536, 4, 15, UP_TO_10),
    ("4xlarge", 16, 131_072, 8, 30, UP_TO_10),
];
const R6: &[Size] = &[
    ("large", 2, 16_384, 3, 10, UP_TO_12),
    ("xlarge", 4, 32_768, 4, 15, UP_TO_12),
    ("2xlarge", 8, 65_536, 4, 15, UP_TO_12),
    ("4xlarge", 16, 131_072, 8, 30, UP_TO_12),
];

const fn nitro(
    name: &'static str,
    clock_ghz: f64,
    manufacturer: &'static str,
    sizes: &'static [Size],
) -> Family {
    Family {
        name,
        clock_ghz,
        manufacturer,
        hypervisor: InstanceTypeHypervisor::Nitro,
        burstable: false,
        threads_per_core: 2,
        current: true,
        sizes,
    }
}

const FAMILIES: &[Family] = &[
    Family {
        hypervisor: InstanceTypeHypervisor::Xen,
        burstable: true,
        threads_per_core: 1,
        ..nitro("t2", 2.5, "Intel", T2)
    },
    Family { burstable: true, ..nitro("t3", 2.5, "Intel", T3) },
    Family { burstable: true, ..nitro("t3a", 2.2, "AMD", T3) },
    nitro("m5", 3.1, "Intel", M5),
    nitro("m5a", 2.5, "AMD", M5),
    nitro("m6i", 3.5, "Intel", M6),
    nitro("m6a", 3.6, "AMD", M6),
    nitro("m7i", 3.2, "Intel", M6),
    nitro("c5", 3.4, "Intel", C5),
    nitro("c5a", 3.3, "AMD", C5),
    nitro("c6i", 3.5, "Intel", C6),
    nitro("c7i", 3.2, "Intel", C6),
    nitro("r5", 3.1, "Intel", R5),
    nitro("r6i", 3.5, "Intel", R6),
    nitro("r7i", 3.2, "Intel", R6),
];

/// Families of 64-bit ARM, which x86-64 images cannot run on.
const ARM: &[&str] = &["a1", "t4g", "m6g", "m7g", "m8g", "c6g", "c7g", "c8g", "r6g", "r7g", "r8g"];

/// An instance type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstanceType {
    family: &'static Family,
    size: &'static Size,
}

impl InstanceType {
    /// The type called `name`.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let unknown = || Error::InstanceTypeUnknown(name.to_owned());
        let (family, size) = name.split_once('.').ok_or_else(unknown)?;
        if ARM.contains(&family) {
            return Err(Error::InstanceTypeUnsupported(name.to_owned()));
        }
        let family = FAMILIES.iter().find(|known| known.name == family).ok_or_else(unknown)?;
        let size = family.sizes.iter().find(|known| known.0 == size).ok_or_else(unknown)?;
        Ok(Self { family, size })
    }

    /// Its name.
    pub(crate) fn name(self) -> String {
        format!("{}.{}", self.family.name, self.size.0)
    }

    /// Its processors.
    pub(crate) fn vcpus(self) -> i32 {
        self.size.1
    }

    /// Cores and threads of each.
    pub(crate) fn cores(self) -> (i32, i32) {
        (self.size.1 / self.family.threads_per_core, self.family.threads_per_core)
    }

    /// Its memory.
    pub(crate) fn memory_bytes(self) -> u64 {
        u64::try_from(self.size.2).unwrap_or(0) << 20
    }

    /// How many addresses each of them may have.
    pub(crate) fn addresses_max(self) -> usize {
        usize::try_from(self.size.4).unwrap_or(0)
    }

    /// Whether its processors are credited.
    pub(crate) fn burstable(self) -> bool {
        self.family.burstable
    }

    fn all() -> impl Iterator<Item = Self> {
        FAMILIES
            .iter()
            .flat_map(|family| family.sizes.iter().map(move |size| Self { family, size }))
    }

    fn described(self) -> InstanceTypeInfo {
        let (family, (_, vcpus, memory, interfaces, addresses, network)) =
            (self.family, *self.size);
        let (cores, threads) = self.cores();
        let is_nitro = family.hypervisor == InstanceTypeHypervisor::Nitro;
        InstanceTypeInfo {
            instance_type: Some(self.name()),
            current_generation: Some(family.current),
            free_tier_eligible: Some(matches!(self.name().as_str(), "t2.micro" | "t3.micro")),
            supported_usage_classes: vec![UsageClassType::OnDemand],
            supported_root_device_types: vec![RootDeviceType::Ebs],
            supported_virtualization_types: vec![VirtualizationType::Hvm],
            bare_metal: Some(false),
            hypervisor: Some(family.hypervisor),
            processor_info: Some(ProcessorInfo {
                supported_architectures: vec![ArchitectureType::X8664],
                sustained_clock_speed_in_ghz: Some(family.clock_ghz),
                manufacturer: Some(family.manufacturer.to_owned()),
                ..ProcessorInfo::default()
            }),
            v_cpu_info: Some(VCpuInfo {
                default_v_cpus: Some(vcpus),
                default_cores: Some(cores),
                default_threads_per_core: Some(threads),
                valid_cores: vec![cores],
                valid_threads_per_core: vec![threads],
            }),
            memory_info: Some(MemoryInfo { size_in_mi_b: Some(memory) }),
            instance_storage_supported: Some(false),
            ebs_info: Some(EbsInfo {
                ebs_optimized_support: Some(if is_nitro {
                    EbsOptimizedSupport::Default
                } else {
                    EbsOptimizedSupport::Unsupported
                }),
                encryption_support: Some(EbsEncryptionSupport::Unsupported),
                nvme_support: Some(EbsNvmeSupport::Unsupported),
                ..EbsInfo::default()
            }),
            network_info: Some(network_info(interfaces, addresses, network, is_nitro)),
            placement_group_info: Some(PlacementGroupInfo {
                supported_strategies: Vec::<PlacementGroupStrategy>::new(),
            }),
            hibernation_supported: Some(false),
            burstable_performance_supported: Some(family.burstable),
            dedicated_hosts_supported: Some(false),
            auto_recovery_supported: Some(true),
            supported_boot_modes: vec![BootModeType::LegacyBios],
            ..InstanceTypeInfo::default()
        }
    }
}

fn network_info(interfaces: i32, addresses: i32, network: &str, ena: bool) -> NetworkInfo {
    NetworkInfo {
        network_performance: Some(network.to_owned()),
        maximum_network_interfaces: Some(interfaces),
        maximum_network_cards: Some(1),
        default_network_card_index: Some(0),
        network_cards: vec![NetworkCardInfo {
            network_card_index: Some(0),
            network_performance: Some(network.to_owned()),
            maximum_network_interfaces: Some(interfaces),
            ..NetworkCardInfo::default()
        }],
        ipv4_addresses_per_interface: Some(addresses),
        ipv6_addresses_per_interface: Some(0),
        ipv6_supported: Some(false),
        ena_support: Some(if ena { EnaSupport::Required } else { EnaSupport::Unsupported }),
        efa_supported: Some(false),
        encryption_in_transit_supported: Some(false),
        ena_srd_supported: Some(false),
        ..NetworkInfo::default()
    }
}

const FIELDS: &[Field<InstanceTypeInfo>] = &[
    ("instance-type", |t| listing::text(t.instance_type.as_ref())),
    ("current-generation", |t| listing::shown(t.current_generation)),
    ("free-tier-eligible", |t| listing::shown(t.free_tier_eligible)),
    ("bare-metal", |t| listing::shown(t.bare_metal)),
    ("hypervisor", |t| listing::shown(t.hypervisor)),
    ("burstable-performance-supported", |t| listing::shown(t.burstable_performance_supported)),
    ("hibernation-supported", |t| listing::shown(t.hibernation_supported)),
    ("instance-storage-supported", |t| listing::shown(t.instance_storage_supported)),
    ("dedicated-hosts-supported", |t| listing::shown(t.dedicated_hosts_supported)),
    ("auto-recovery-supported", |t| listing::shown(t.auto_recovery_supported)),
    ("memory-info.size-in-mib", |t| {
        listing::shown(t.memory_info.as_ref().and_then(|memory| memory.size_in_mi_b))
    }),
    ("vcpu-info.default-vcpus", |t| {
        listing::shown(t.v_cpu_info.as_ref().and_then(|cpu| cpu.default_v_cpus))
    }),
    ("vcpu-info.default-cores", |t| {
        listing::shown(t.v_cpu_info.as_ref().and_then(|cpu| cpu.default_cores))
    }),
    ("vcpu-info.default-threads-per-core", |t| {
        listing::shown(t.v_cpu_info.as_ref().and_then(|cpu| cpu.default_threads_per_core))
    }),
    ("processor-info.supported-architecture", |t| {
        let architectures = t.processor_info.iter().flat_map(|p| &p.supported_architectures);
        architectures.map(ToString::to_string).collect()
    }),
    ("supported-usage-class", |t| strings(&t.supported_usage_classes)),
    ("supported-root-device-type", |t| strings(&t.supported_root_device_types)),
    ("supported-virtualization-type", |t| strings(&t.supported_virtualization_types)),
    ("network-info.maximum-network-interfaces", |t| {
        listing::shown(t.network_info.as_ref().and_then(|n| n.maximum_network_interfaces))
    }),
    ("network-info.network-performance", |t| {
        listing::text(t.network_info.as_ref().and_then(|n| n.network_performance.as_ref()))
    }),
];

fn strings<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// Tells what instance types there are.
///
/// AWS: DescribeInstanceTypes.
pub(crate) async fn describe_instance_types(
    _ctx: Ctx,
    input: DescribeInstanceTypesInput,
) -> Result<DescribeInstanceTypesOutput> {
    if input.include_unsupported_in_region == Some(true) {
        return Err(Error::Unsupported(
            "IncludeUnsupportedInRegion: only types that run here are known".to_owned(),
        ));
    }
    let all: Vec<_> = if input.instance_types.is_empty() {
        InstanceType::all().map(InstanceType::described).collect()
    } else {
        let named = |name: &String| {
            InstanceType::named(name)
                .map(InstanceType::described)
                .map_err(|_| Error::InstanceTypesUnknown(name.clone()))
        };
        input.instance_types.iter().map(named).collect::<Result<_>>()?
    };
    let selected = listing::select(all, &input.filters, FIELDS, |_| &[])?;
    let asked = Asked {
        ids: &input.instance_types,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let key = |t: &InstanceTypeInfo| t.instance_type.clone().unwrap_or_default();
    let (instance_types, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeInstanceTypesOutput { instance_types, next_token })
}

const OFFERING_FIELDS: &[Field<InstanceTypeOffering>] = &[
    ("instance-type", |o| listing::text(o.instance_type.as_ref())),
    ("location", |o| listing::text(o.location.as_ref())),
];

/// Tells where instance types are offered: those that the host has the memory for, in every zone.
///
/// AWS: DescribeInstanceTypeOfferings.
pub(crate) async fn describe_instance_type_offerings(
    ctx: Ctx,
    input: DescribeInstanceTypeOfferingsInput,
) -> Result<DescribeInstanceTypeOfferingsOutput> {
    let kind = input.location_type.unwrap_or(LocationType::Region);
    let zones = ctx.region.zones();
    let locations: Vec<String> = match kind {
        LocationType::Region => vec![ctx.region.to_string()],
        LocationType::AvailabilityZone => zones.iter().map(ToString::to_string).collect(),
        LocationType::AvailabilityZoneId => zones.iter().map(base::Zone::zone_id).collect(),
        LocationType::Outpost => Vec::new(),
    };
    let fits = |t: &InstanceType| t.memory_bytes() <= ctx.drivers.host.memory_bytes();
    let all = InstanceType::all().filter(fits).flat_map(|instance_type| {
        locations.iter().map(move |location| InstanceTypeOffering {
            instance_type: Some(instance_type.name()),
            location_type: Some(kind),
            location: Some(location.clone()),
        })
    });
    let selected = listing::select(all.collect(), &input.filters, OFFERING_FIELDS, |_| &[])?;
    let asked =
        Asked { ids: &[], max_results: input.max_results, next_token: input.next_token.as_deref() };
    let key = |offering: &InstanceTypeOffering| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        format!("{} {}", text(&offering.instance_type), text(&offering.location))
    };
    let (instance_type_offerings, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeInstanceTypeOfferingsOutput { instance_type_offerings, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_awss_own_limits() {
        let micro = InstanceType::named("t3.micro").unwrap();
        assert_eq!((micro.vcpus(), micro.memory_bytes()), (2, 1 << 30));
        assert_eq!(micro.addresses_max(), 2);
        let large = InstanceType::named("m6i.xlarge").unwrap();
        assert_eq!((large.vcpus(), large.memory_bytes()), (4, 16 << 30));
        for unknown in ["", "t3", "t3.huge", "zz.micro"] {
            assert!(matches!(InstanceType::named(unknown), Err(Error::InstanceTypeUnknown(_))));
        }
        let arm = InstanceType::named("t4g.micro");
        assert!(matches!(arm, Err(Error::InstanceTypeUnsupported(_))));
    }
}
