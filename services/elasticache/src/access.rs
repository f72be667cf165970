//! What each operation is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for Amazon
//! ElastiCache".

use kernel::Access;
use kernel::access::Need;

const GROUP: &str = "arn:aws:elasticache:{region}:{account}:replicationgroup:{ReplicationGroupId}";
const CLUSTER: &str = "arn:aws:elasticache:{region}:{account}:cluster:{CacheClusterId}";
const SUBNETS: &str = "arn:aws:elasticache:{region}:{account}:subnetgroup:{CacheSubnetGroupName}";
const PARAMETERS: &str =
    "arn:aws:elasticache:{region}:{account}:parametergroup:{CacheParameterGroupName}";

const OF_GROUP: &[&str] = &[GROUP];
const OF_CLUSTER: &[&str] = &[CLUSTER];
const OF_SUBNETS: &[&str] = &[SUBNETS];
const OF_PARAMETERS: &[&str] = &[PARAMETERS];
const OF_ARN: &[&str] = &["{ResourceName}"];

const KEYS: &[(&str, &str)] = &[
    ("elasticache:CacheNodeType", "CacheNodeType"),
    ("elasticache:EngineVersion", "EngineVersion"),
    ("elasticache:EngineType", "Engine"),
    ("elasticache:CacheParameterGroupName", "CacheParameterGroupName"),
    ("elasticache:MultiAZEnabled", "MultiAZEnabled"),
    ("elasticache:AutomaticFailoverEnabled", "AutomaticFailoverEnabled"),
    ("elasticache:AtRestEncryptionEnabled", "AtRestEncryptionEnabled"),
    ("elasticache:TransitEncryptionEnabled", "TransitEncryptionEnabled"),
    ("elasticache:NumNodeGroups", "NumNodeGroups"),
    ("elasticache:ReplicasPerNodeGroup", "ReplicasPerNodeGroup"),
];

pub(crate) const RULES: &[Access] = &[
    Access::new(
        "CreateReplicationGroup",
        &[Need::on("elasticache:CreateReplicationGroup", OF_GROUP).keys(KEYS)],
    ),
    Access::new(
        "DescribeReplicationGroups",
        &[Need::on("elasticache:DescribeReplicationGroups", OF_GROUP)],
    ),
    Access::new(
        "ModifyReplicationGroup",
        &[Need::on("elasticache:ModifyReplicationGroup", OF_GROUP).keys(KEYS)],
    ),
    Access::new(
        "DeleteReplicationGroup",
        &[Need::on("elasticache:DeleteReplicationGroup", OF_GROUP)],
    ),
    Access::new("TestFailover", &[Need::on("elasticache:TestFailover", OF_GROUP)]),
    Access::new("IncreaseReplicaCount", &[Need::on("elasticache:IncreaseReplicaCount", OF_GROUP)]),
    Access::new("DecreaseReplicaCount", &[Need::on("elasticache:DecreaseReplicaCount", OF_GROUP)]),
    Access::new(
        "CreateCacheCluster",
        &[Need::on("elasticache:CreateCacheCluster", OF_CLUSTER).keys(KEYS)],
    ),
    Access::new(
        "DescribeCacheClusters",
        &[Need::on("elasticache:DescribeCacheClusters", OF_CLUSTER)],
    ),
    Access::new(
        "ModifyCacheCluster",
        &[Need::on("elasticache:ModifyCacheCluster", OF_CLUSTER).keys(KEYS)],
    ),
    Access::new("DeleteCacheCluster", &[Need::on("elasticache:DeleteCacheCluster", OF_CLUSTER)]),
    Access::new("RebootCacheCluster", &[Need::on("elasticache:RebootCacheCluster", OF_CLUSTER)]),
    Access::new(
        "CreateCacheSubnetGroup",
        &[Need::on("elasticache:CreateCacheSubnetGroup", OF_SUBNETS)],
    ),
    Access::new(
        "DeleteCacheSubnetGroup",
        &[Need::on("elasticache:DeleteCacheSubnetGroup", OF_SUBNETS)],
    ),
    Access::new(
        "DescribeCacheSubnetGroups",
        &[Need::on("elasticache:DescribeCacheSubnetGroups", OF_SUBNETS)],
    ),
    Access::new(
        "ModifyCacheSubnetGroup",
        &[Need::on("elasticache:ModifyCacheSubnetGroup", OF_SUBNETS)],
    ),
    Access::new(
        "CreateCacheParameterGroup",
        &[Need::on("elasticache:CreateCacheParameterGroup", OF_PARAMETERS)],
    ),
    Access::new(
        "DeleteCacheParameterGroup",
        &[Need::on("elasticache:DeleteCacheParameterGroup", OF_PARAMETERS)],
    ),
    Access::new(
        "DescribeCacheParameterGroups",
        &[Need::on("elasticache:DescribeCacheParameterGroups", OF_PARAMETERS)],
    ),
    Access::new(
        "DescribeCacheParameters",
        &[Need::on("elasticache:DescribeCacheParameters", OF_PARAMETERS)],
    ),
    Access::new(
        "ModifyCacheParameterGroup",
        &[Need::on("elasticache:ModifyCacheParameterGroup", OF_PARAMETERS)],
    ),
    Access::new(
        "DescribeCacheEngineVersions",
        &[Need::on("elasticache:DescribeCacheEngineVersions", &[])],
    ),
    Access::new("DescribeEvents", &[Need::on("elasticache:DescribeEvents", &[])]),
    Access::new("AddTagsToResource", &[Need::on("elasticache:AddTagsToResource", OF_ARN)]),
    Access::new("ListTagsForResource", &[Need::on("elasticache:ListTagsForResource", OF_ARN)]),
    Access::new(
        "RemoveTagsFromResource",
        &[Need::on("elasticache:RemoveTagsFromResource", OF_ARN)],
    ),
];
