//! Cache node types: processors and memory. Pure.

/// What a cache node type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeType {
    pub(crate) name: &'static str,
    pub(crate) vcpus: u32,
    pub(crate) memory_bytes: u64,
}

const fn of(name: &'static str, vcpus: u32, hundredths_gib: u64) -> NodeType {
    NodeType { name, vcpus, memory_bytes: (hundredths_gib << 30) / 100 }
}

/// The node types there are, smaller ones of a family first.
///
/// AWS: "Supported node types" and "Valkey and Redis OSS node-type specific parameters".
pub(crate) const ALL: &[NodeType] = &[
    of("cache.t2.micro", 1, 55),
    of("cache.t2.small", 1, 155),
    of("cache.t2.medium", 2, 322),
    of("cache.t3.micro", 2, 50),
    of("cache.t3.small", 2, 137),
    of("cache.t3.medium", 2, 309),
    of("cache.t4g.micro", 2, 50),
    of("cache.t4g.small", 2, 137),
    of("cache.t4g.medium", 2, 309),
    of("cache.m5.large", 2, 638),
    of("cache.m5.xlarge", 4, 1293),
    of("cache.m5.2xlarge", 8, 2604),
    of("cache.m5.4xlarge", 16, 5226),
    of("cache.m6g.large", 2, 638),
    of("cache.m6g.xlarge", 4, 1294),
    of("cache.m6g.2xlarge", 8, 2605),
    of("cache.m6g.4xlarge", 16, 5226),
    of("cache.m7g.large", 2, 638),
    of("cache.m7g.xlarge", 4, 1294),
    of("cache.m7g.2xlarge", 8, 2605),
    of("cache.m7g.4xlarge", 16, 5226),
    of("cache.r5.large", 2, 1307),
    of("cache.r5.xlarge", 4, 2632),
    of("cache.r5.2xlarge", 8, 5282),
    of("cache.r6g.large", 2, 1307),
    of("cache.r6g.xlarge", 4, 2632),
    of("cache.r6g.2xlarge", 8, 5282),
    of("cache.r7g.large", 2, 1307),
    of("cache.r7g.xlarge", 4, 2632),
    of("cache.r7g.2xlarge", 8, 5282),
];

/// The node type called `name`.
pub(crate) fn find(name: &str) -> Option<NodeType> {
    ALL.iter().find(|known| known.name == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_types_have_the_sizes_of_awss_table() {
        let micro = find("cache.t3.micro").unwrap();
        assert_eq!((micro.vcpus, micro.memory_bytes), (2, 1 << 29));
        assert_eq!(find("cache.r6g.xlarge").unwrap().vcpus, 4);
        assert_eq!(find("cache.t1.nano"), None);
    }
}
