//! DB instances: made and described.

use base::{Random, Tags};
use kernel::quota::Quota;
use nodes::parameter_group::family;
use rds_api::{
    CreateDBInstanceInput, CreateDBInstanceOutput, DBInstance, DatabaseInsightsMode,
    DescribeDBInstancesInput, DescribeDBInstancesOutput, MasterUserAuthenticationType,
};
use secretsmanager_api::CreateSecretInput;
use serde_json::json;
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::store::{
    Applied, DbInstance, INSTANCES, ManagedSecret, Pending, Source, Status, SubnetGroup,
};
use crate::{
    Ctx, NETWORK, PRINCIPAL, credentials, endpoint, listing, parameter_group, request,
    subnet_group, tags, view,
};

/// DB instances per region.
///
/// AWS: "Quotas and constraints for Amazon RDS".
pub(crate) const INSTANCES_MAX: Quota = Quota { service: "rds", code: "L-7B6409FD", default: 40 };

/// The first number of a cluster's nodes.
pub(crate) const FIRST_NODE: u32 = 1;

/// The instance called `name`, however its letters are cased.
pub(crate) fn get(tx: &ReadTx<'_>, name: &str) -> Result<DbInstance> {
    let found = tx.get(&INSTANCES, name.to_ascii_lowercase())?;
    found.ok_or_else(|| Error::InstanceNotFound(name.to_owned()))
}

/// What of an instance a request can say that makes or restores one.
pub(crate) struct Placing {
    pub(crate) group: SubnetGroup,
    pub(crate) security_groups: Vec<String>,
}

/// Finds the subnet group and the security groups of a new instance.
pub(crate) async fn placing(ctx: &Ctx, group: Option<&str>, groups: &[String]) -> Result<Placing> {
    let group = subnet_group::for_instance(ctx, group).await?;
    let security_groups = NETWORK.security_groups(&ctx.client, &group.vpc, groups).await?;
    Ok(Placing { group, security_groups })
}

fn refuse_create(input: &CreateDBInstanceInput) -> Result<()> {
    let given = Option::<String>::is_some;
    refuse(&[
        ("DBSecurityGroups", !input.db_security_groups.is_empty()),
        ("Iops", input.iops.is_some()),
        ("StorageThroughput", input.storage_throughput.is_some()),
        ("CharacterSetName", given(&input.character_set_name)),
        ("NcharCharacterSetName", given(&input.nchar_character_set_name)),
        ("PubliclyAccessible", input.publicly_accessible == Some(true)),
        ("DBClusterIdentifier", given(&input.db_cluster_identifier)),
        ("TdeCredentialArn", given(&input.tde_credential_arn)),
        ("TdeCredentialPassword", given(&input.tde_credential_password)),
        ("StorageEncrypted", input.storage_encrypted == Some(true)),
        ("KmsKeyId", given(&input.kms_key_id)),
        ("Domain", given(&input.domain) || given(&input.domain_fqdn) || given(&input.domain_ou)),
        ("DomainAuthSecretArn", given(&input.domain_auth_secret_arn)),
        ("DomainDnsIps", !input.domain_dns_ips.is_empty()),
        ("DomainIAMRoleName", given(&input.domain_iam_role_name)),
        ("MonitoringInterval", input.monitoring_interval.is_some_and(|seconds| seconds != 0)),
        ("MonitoringRoleArn", given(&input.monitoring_role_arn)),
        ("PromotionTier", input.promotion_tier.is_some()),
        ("Timezone", given(&input.timezone)),
        ("EnableIAMDatabaseAuthentication", input.enable_iam_database_authentication == Some(true)),
        (
            "DatabaseInsightsMode",
            input.database_insights_mode == Some(DatabaseInsightsMode::Advanced),
        ),
        ("EnablePerformanceInsights", input.enable_performance_insights == Some(true)),
        ("PerformanceInsightsKMSKeyId", given(&input.performance_insights_kms_key_id)),
        (
            "PerformanceInsightsRetentionPeriod",
            input.performance_insights_retention_period.is_some(),
        ),
        ("EnableCloudwatchLogsExports", !input.enable_cloudwatch_logs_exports.is_empty()),
        ("ProcessorFeatures", !input.processor_features.is_empty()),
        ("MaxAllocatedStorage", input.max_allocated_storage.is_some()),
        ("EnableCustomerOwnedIp", input.enable_customer_owned_ip == Some(true)),
        ("NetworkType", input.network_type.as_deref().is_some_and(|kind| kind != "IPV4")),
        ("BackupTarget", input.backup_target.as_deref().is_some_and(|place| place != "region")),
        ("CustomIamInstanceProfile", given(&input.custom_iam_instance_profile)),
        ("DBSystemId", given(&input.db_system_id)),
        ("CACertificateIdentifier", given(&input.ca_certificate_identifier)),
        ("MasterUserSecretKmsKeyId", given(&input.master_user_secret_kms_key_id)),
        ("MultiTenant", input.multi_tenant == Some(true)),
        ("DedicatedLogVolume", input.dedicated_log_volume == Some(true)),
        ("EngineLifecycleSupport", given(&input.engine_lifecycle_support)),
        ("AdditionalStorageVolumes", !input.additional_storage_volumes.is_empty()),
        ("TagSpecifications", !input.tag_specifications.is_empty()),
        ("DBCapacityReservationIdentifier", given(&input.db_capacity_reservation_identifier)),
        (
            "MasterUserAuthenticationType",
            input.master_user_authentication_type == Some(MasterUserAuthenticationType::IamDbAuth),
        ),
    ])
}

/// The password of the master user, and whether Secrets Manager is to keep it.
fn master_password(ctx: &Ctx, input: &CreateDBInstanceInput) -> Result<(String, bool)> {
    let managed = input.manage_master_user_password == Some(true);
    match (&input.master_user_password, managed) {
        (Some(_), true) => Err(Error::combination(
            "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword \
             enabled.",
        )),
        (Some(password), false) => Ok((password.clone(), false)),
        (None, true) => Ok((credentials::make_password(ctx.random()), true)),
        (None, false) => Err(Error::value(
            "The parameter MasterUserPassword must be provided and must not be blank.",
        )),
    }
}

/// Makes an instance's record, all requests checked; whether the password is managed beside it.
async fn instance_from(
    ctx: &Ctx,
    input: &CreateDBInstanceInput,
) -> Result<(DbInstance, String, bool)> {
    refuse_create(input)?;
    let name = request::identifier("DBInstanceIdentifier", &input.db_instance_identifier, 63)?;
    let (engine, series, version) =
        request::engine(&ctx.drivers, &input.engine, input.engine_version.as_deref())?;
    request::license(engine, input.license_model.as_deref())?;
    let option_group = request::option_group(engine, &series);
    refuse(&[(
        "OptionGroupName",
        input.option_group_name.as_ref().is_some_and(|asked| *asked != option_group),
    )])?;
    let master = input.master_username.clone().ok_or_else(|| {
        Error::value("The parameter MasterUsername must be provided and must not be blank.")
    })?;
    credentials::check_username(engine, &master)?;
    let (password, managed) = master_password(ctx, input)?;
    credentials::check_password(engine, &password)?;
    let gib = input.allocated_storage.ok_or_else(|| {
        Error::value("The parameter AllocatedStorage must be provided and must not be blank.")
    })?;
    let parameter_group = parameter_group::for_instance(
        ctx,
        input.db_parameter_group_name.as_deref(),
        &family(engine, &series),
    )
    .await?;
    let (backup_window, maintenance_window) = request::windows(
        input.preferred_backup_window.as_deref(),
        input.preferred_maintenance_window.as_deref(),
        ctx.random(),
    )?;
    let groups = &input.vpc_security_group_ids;
    let placing = placing(ctx, input.db_subnet_group_name.as_deref(), groups).await?;
    let multi_az = input.multi_az == Some(true);
    let zone = input.availability_zone.as_deref();
    let subnets = request::subnets_for(&placing.group, zone, multi_az, ctx.random())?;
    let database = input.db_name.as_deref().map(|name| request::database(engine, name));
    let mut instance = DbInstance {
        class: request::class_name(&input.db_instance_class)?,
        allocated_storage: request::storage(engine, gib)?,
        storage_type: request::storage_type(input.storage_type.as_deref())?,
        master,
        database: database.transpose()?,
        port: request::port(engine, input.port)?,
        multi_az,
        subnet_group: placing.group.name.clone(),
        vpc: placing.group.vpc.clone(),
        groups: placing.security_groups,
        parameter_group,
        backup_retention_days: request::retention(input.backup_retention_period)?,
        backup_window,
        maintenance_window,
        deletion_protection: input.deletion_protection == Some(true),
        copy_tags_to_snapshot: input.copy_tags_to_snapshot == Some(true),
        auto_minor_version_upgrade: input.auto_minor_version_upgrade != Some(false),
        tags: tags::from(ctx, &input.tags)?,
        ..blank(ctx.random(), &name, engine, &series, &version, placing.group.vpc)
    };
    for subnet in &subnets {
        instance.add_node(&subnet.id, &subnet.zone);
    }
    instance.primary = instance.nodes.first().map(|node| node.id.clone()).unwrap_or_default();
    seal(ctx, &mut instance, &password)?;
    Ok((instance, password, managed))
}

/// A record with nothing asked of it.
pub(crate) fn blank(
    random: &dyn Random,
    name: &str,
    engine: engine::EngineKind,
    series: &str,
    version: &str,
    vpc: base::ResourceId,
) -> DbInstance {
    DbInstance {
        name: name.to_owned(),
        resource_id: request::resource_id(random),
        status: Status::Creating,
        why: None,
        engine,
        series: series.to_owned(),
        version: version.to_owned(),
        class: String::new(),
        allocated_storage: 0,
        storage_type: String::new(),
        master: String::new(),
        password: Vec::new(),
        password_revision: 0,
        secret: None,
        cluster_secrets: Vec::new(),
        database: None,
        port: 0,
        multi_az: false,
        subnet_group: String::new(),
        vpc,
        groups: Vec::new(),
        parameter_group: String::new(),
        parameters_pending: Vec::new(),
        nodes: Vec::new(),
        primary: String::new(),
        next_number: FIRST_NODE,
        source: Source::Nothing,
        joined: false,
        promote: false,
        force_failover: false,
        final_snapshot: None,
        backup_retention_days: 0,
        backup_window: String::new(),
        next_backup: None,
        maintenance_window: String::new(),
        pending: Pending::default(),
        pending_since: None,
        applied: Applied::default(),
        deletion_protection: false,
        copy_tags_to_snapshot: false,
        auto_minor_version_upgrade: true,
        created: None,
        tags: Tags::new(),
    }
}

/// Seals the master user's password and new passwords of the cluster's own users.
pub(crate) fn seal(ctx: &Ctx, instance: &mut DbInstance, password: &str) -> Result<()> {
    let place = instance.place();
    instance.password = ctx.drivers.drivers.cipher.seal(&place, password.as_bytes());
    instance.cluster_secrets =
        credentials::make_cluster_secrets(&ctx.drivers, ctx.random(), &place)?;
    Ok(())
}

/// Writes a new instance, if its name is free and the quota allows.
pub(crate) async fn write_new(ctx: &Ctx, instance: &DbInstance) -> Result<()> {
    let limit = INSTANCES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        require_free(tx, &instance.name, limit)?;
        tx.put(&INSTANCES, instance)?;
        Ok(())
    };
    ctx.store.write(write).await
}

/// Refuses a name that is taken, and more instances than the quota allows.
pub(crate) fn require_free(tx: &ReadTx<'_>, name: &str, limit: u64) -> Result<()> {
    if tx.contains(&INSTANCES, name)? {
        return Err(Error::InstanceAlreadyExists);
    }
    let count = tx.scan(&INSTANCES, ())?.len();
    if u64::try_from(count).unwrap_or(u64::MAX) >= limit {
        return Err(Error::InstanceQuotaExceeded(limit));
    }
    Ok(())
}

/// Has Secrets Manager keep the master user's password, as RDS itself.
///
/// AWS: "Password management with Amazon RDS and AWS Secrets Manager".
pub(crate) async fn keep_secret(
    ctx: &Ctx,
    instance: &DbInstance,
    password: &str,
) -> Result<ManagedSecret> {
    let arn = endpoint::arn(ctx.store.scope(), "db", &instance.name);
    let value = json!({ "username": instance.master, "password": password });
    let tag = |key: &str, value: &str| secretsmanager_api::Tag {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    let input = CreateSecretInput {
        name: format!("rds!db-{}", ctx.random().uuid()),
        description: Some(format!("Secret associated with primary RDS DB instance: {arn}")),
        secret_string: Some(value.to_string()),
        tags: vec![
            tag("aws:secretsmanager:owningService", "rds"),
            tag("aws:rds:primaryDBInstanceArn", &arn),
        ],
        ..Default::default()
    };
    let made = ctx.service_client(PRINCIPAL).await?.call(input).await?;
    Ok(ManagedSecret { arn: made.arn.unwrap_or_default() })
}

/// Makes a DB instance.
///
/// AWS: CreateDBInstance.
pub(crate) async fn create_db_instance(
    ctx: Ctx,
    input: CreateDBInstanceInput,
) -> Result<CreateDBInstanceOutput> {
    let (mut instance, password, managed) = instance_from(&ctx, &input).await?;
    if managed {
        let limit = INSTANCES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
        ctx.store.read(|tx| require_free(tx, &instance.name, limit)).await?;
        instance.secret = Some(keep_secret(&ctx, &instance, &password).await?);
    }
    write_new(&ctx, &instance).await?;
    Ok(CreateDBInstanceOutput { db_instance: Some(view::instance(&ctx, &instance).await?) })
}

/// Tells the account's DB instances.
///
/// AWS: DescribeDBInstances.
pub(crate) async fn describe_db_instances(
    ctx: Ctx,
    input: DescribeDBInstancesInput,
) -> Result<DescribeDBInstancesOutput> {
    let all: Vec<DbInstance> = match &input.db_instance_identifier {
        Some(asked) => {
            let prefix = endpoint::arn(ctx.store.scope(), "db", "");
            let name = asked.strip_prefix(&prefix).unwrap_or(asked);
            vec![ctx.store.read(|tx| get(tx, name)).await?]
        }
        None => ctx.store.read(|tx| tx.scan(&INSTANCES, ())).await?,
    };
    let mut passing = Vec::new();
    for instance in all {
        let look_up = |name: &str| match name {
            "db-instance-id" => Some(vec![
                instance.name.clone(),
                endpoint::arn(ctx.store.scope(), "db", &instance.name),
            ]),
            "dbi-resource-id" => Some(vec![instance.resource_id.clone()]),
            "engine" => Some(vec![instance.engine.name().to_owned()]),
            "db-cluster-id" | "domain" => Some(Vec::new()),
            _ => None,
        };
        if listing::passes(&input.filters, look_up)? {
            passing.push(instance);
        }
    }
    let (page, marker) =
        listing::page(passing, input.marker.as_deref(), input.max_records, |one| one.name.clone())?;
    let mut db_instances: Vec<DBInstance> = Vec::new();
    for instance in &page {
        db_instances.push(view::instance(&ctx, instance).await?);
    }
    Ok(DescribeDBInstancesOutput { marker, db_instances })
}
