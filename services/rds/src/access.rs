//! What each operation is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for Amazon RDS".

use kernel::Access;
use kernel::access::Need;

const DB: &str = "arn:aws:rds:{region}:{account}:db:{DBInstanceIdentifier:arn}";
const SOURCE: &str = "arn:aws:rds:{region}:{account}:db:{SourceDBInstanceIdentifier:arn}";
const GROUP: &str = "arn:aws:rds:{region}:{account}:subgrp:{DBSubnetGroupName}";
const PARAMETERS: &str = "arn:aws:rds:{region}:{account}:pg:{DBParameterGroupName}";
const SNAPSHOT: &str = "arn:aws:rds:{region}:{account}:snapshot:{DBSnapshotIdentifier:arn}";

const OF_DB: &[&str] = &[DB];
const OF_GROUP: &[&str] = &[GROUP];
const OF_PARAMETERS: &[&str] = &[PARAMETERS];
const OF_SNAPSHOT: &[&str] = &[SNAPSHOT];
const OF_ARN: &[&str] = &["{ResourceName}"];

const KEYS: &[(&str, &str)] = &[
    ("rds:DatabaseEngine", "Engine"),
    ("rds:DatabaseName", "DBName"),
    ("rds:DatabaseClass", "DBInstanceClass"),
    ("rds:MultiAz", "MultiAZ"),
    ("rds:StorageSize", "AllocatedStorage"),
    ("rds:StorageEncrypted", "StorageEncrypted"),
    ("rds:ManageMasterUserPassword", "ManageMasterUserPassword"),
];

pub(crate) const RULES: &[Access] = &[
    Access::new("CreateDBInstance", &[Need::on("rds:CreateDBInstance", OF_DB).keys(KEYS)]),
    Access::new("DescribeDBInstances", &[Need::on("rds:DescribeDBInstances", OF_DB)]),
    Access::new("ModifyDBInstance", &[Need::on("rds:ModifyDBInstance", OF_DB).keys(KEYS)]),
    Access::new("DeleteDBInstance", &[Need::on("rds:DeleteDBInstance", OF_DB)]),
    Access::new("RebootDBInstance", &[Need::on("rds:RebootDBInstance", OF_DB)]),
    Access::new("StartDBInstance", &[Need::on("rds:StartDBInstance", OF_DB)]),
    Access::new("StopDBInstance", &[Need::on("rds:StopDBInstance", OF_DB)]),
    Access::new(
        "CreateDBInstanceReadReplica",
        &[Need::on("rds:CreateDBInstanceReadReplica", &[DB, SOURCE]).keys(KEYS)],
    ),
    Access::new("PromoteReadReplica", &[Need::on("rds:PromoteReadReplica", OF_DB)]),
    Access::new("CreateDBSnapshot", &[Need::on("rds:CreateDBSnapshot", &[DB, SNAPSHOT])]),
    Access::new("DeleteDBSnapshot", &[Need::on("rds:DeleteDBSnapshot", OF_SNAPSHOT)]),
    Access::new("DescribeDBSnapshots", &[Need::on("rds:DescribeDBSnapshots", OF_SNAPSHOT)]),
    Access::new(
        "RestoreDBInstanceFromDBSnapshot",
        &[Need::on("rds:RestoreDBInstanceFromDBSnapshot", &[DB, SNAPSHOT]).keys(KEYS)],
    ),
    Access::new("CreateDBSubnetGroup", &[Need::on("rds:CreateDBSubnetGroup", OF_GROUP)]),
    Access::new("DeleteDBSubnetGroup", &[Need::on("rds:DeleteDBSubnetGroup", OF_GROUP)]),
    Access::new("DescribeDBSubnetGroups", &[Need::on("rds:DescribeDBSubnetGroups", OF_GROUP)]),
    Access::new("ModifyDBSubnetGroup", &[Need::on("rds:ModifyDBSubnetGroup", OF_GROUP)]),
    Access::new("CreateDBParameterGroup", &[Need::on("rds:CreateDBParameterGroup", OF_PARAMETERS)]),
    Access::new("DeleteDBParameterGroup", &[Need::on("rds:DeleteDBParameterGroup", OF_PARAMETERS)]),
    Access::new(
        "DescribeDBParameterGroups",
        &[Need::on("rds:DescribeDBParameterGroups", OF_PARAMETERS)],
    ),
    Access::new("DescribeDBParameters", &[Need::on("rds:DescribeDBParameters", OF_PARAMETERS)]),
    Access::new("ModifyDBParameterGroup", &[Need::on("rds:ModifyDBParameterGroup", OF_PARAMETERS)]),
    Access::new("ResetDBParameterGroup", &[Need::on("rds:ResetDBParameterGroup", OF_PARAMETERS)]),
    Access::new(
        "DescribeEngineDefaultParameters",
        &[Need::on("rds:DescribeEngineDefaultParameters", &[])],
    ),
    Access::new("DescribeDBEngineVersions", &[Need::on("rds:DescribeDBEngineVersions", &[])]),
    Access::new(
        "DescribeOrderableDBInstanceOptions",
        &[Need::on("rds:DescribeOrderableDBInstanceOptions", &[])],
    ),
    Access::new("DescribeEvents", &[Need::on("rds:DescribeEvents", &[])]),
    Access::new("DescribeDBLogFiles", &[Need::on("rds:DescribeDBLogFiles", OF_DB)]),
    Access::new("DownloadDBLogFilePortion", &[Need::on("rds:DownloadDBLogFilePortion", OF_DB)]),
    Access::new("AddTagsToResource", &[Need::on("rds:AddTagsToResource", OF_ARN)]),
    Access::new("ListTagsForResource", &[Need::on("rds:ListTagsForResource", OF_ARN)]),
    Access::new("RemoveTagsFromResource", &[Need::on("rds:RemoveTagsFromResource", OF_ARN)]),
];
