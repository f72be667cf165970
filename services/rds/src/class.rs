//! DB instance classes: processors and memory. Pure.

/// What a DB instance class is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) vcpus: u32,
    pub(crate) memory_bytes: u64,
}

const GIB: u64 = 1 << 30;

/// The sizes of the burstable families: name, processors, memory in GiB.
const BURSTABLE: &[(&str, u32, u64)] = &[
    ("micro", 2, 1),
    ("small", 2, 2),
    ("medium", 2, 4),
    ("large", 2, 8),
    ("xlarge", 4, 16),
    ("2xlarge", 8, 32),
];

/// The sizes of the other families: name and processors.
const SIZES: &[(&str, u32)] = &[
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
    ("24xlarge", 96),
];

/// The burstable families.
const BURSTABLE_FAMILIES: &[&str] = &["db.t3", "db.t4g"];

/// The other families, with the memory of a processor in GiB.
const FAMILIES: &[(&str, u64)] =
    &[("db.m5", 4), ("db.m6g", 4), ("db.m6i", 4), ("db.r5", 8), ("db.r6g", 8), ("db.r6i", 8)];

/// The class called `name`.
///
/// AWS: "Hardware specifications for DB instance classes".
pub(crate) fn find(name: &str) -> Option<Class> {
    all().into_iter().find(|(known, _)| known == name).map(|(_, class)| class)
}

/// Every class with its name, smaller ones of a family first.
pub(crate) fn all() -> Vec<(String, Class)> {
    let burstable = BURSTABLE_FAMILIES.iter().flat_map(|family| {
        BURSTABLE.iter().map(move |(size, vcpus, gib)| {
            (format!("{family}.{size}"), Class { vcpus: *vcpus, memory_bytes: gib * GIB })
        })
    });
    let fixed = FAMILIES.iter().flat_map(|(family, gib)| {
        SIZES.iter().map(move |(size, vcpus)| {
            let memory_bytes = u64::from(*vcpus) * gib * GIB;
            (format!("{family}.{size}"), Class { vcpus: *vcpus, memory_bytes })
        })
    });
    burstable.chain(fixed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_sizes_of_awss_table() {
        for (name, vcpus, gib) in [
            ("db.t3.micro", 2, 1),
            ("db.t4g.medium", 2, 4),
            ("db.m6i.xlarge", 4, 16),
            ("db.r6i.2xlarge", 8, 64),
        ] {
            assert_eq!(find(name), Some(Class { vcpus, memory_bytes: gib * GIB }), "{name}");
        }
        assert_eq!(find("db.t2.nano"), None);
    }
}
