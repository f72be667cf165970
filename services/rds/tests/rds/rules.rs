//! What RDS refuses, and what it answers without an engine.

use rds_api as rds;

use crate::world::{World, mariadb};

async fn refused(world: &World, input: rds::CreateDBInstanceInput) -> String {
    world.root().call(input).await.unwrap_err().code
}

#[tokio::test]
async fn an_instance_is_refused_with_awss_errors() {
    let world = World::new(73).await;
    world.subnet_group().await;
    let good = || mariadb("shop");
    let cases = [
        (
            "InvalidParameterValue",
            rds::CreateDBInstanceInput { engine: "db2".to_owned(), ..good() },
        ),
        (
            "InsufficientDBInstanceCapacity",
            rds::CreateDBInstanceInput {
                engine: "mysql".to_owned(),
                engine_version: None,
                ..good()
            },
        ),
        (
            "InvalidParameterCombination",
            rds::CreateDBInstanceInput { storage_encrypted: Some(true), ..good() },
        ),
        (
            "InvalidParameterCombination",
            rds::CreateDBInstanceInput { engine_version: Some("5.5".to_owned()), ..good() },
        ),
        (
            "InvalidParameterValue",
            rds::CreateDBInstanceInput { master_user_password: Some("a".to_owned()), ..good() },
        ),
        (
            "DBSubnetGroupNotFoundFault",
            rds::CreateDBInstanceInput { db_subnet_group_name: Some("x".to_owned()), ..good() },
        ),
        (
            "DBParameterGroupNotFound",
            rds::CreateDBInstanceInput { db_parameter_group_name: Some("x".to_owned()), ..good() },
        ),
        (
            "InvalidVPCNetworkStateFault",
            rds::CreateDBInstanceInput { db_subnet_group_name: None, ..good() },
        ),
        (
            "StorageTypeNotSupported",
            rds::CreateDBInstanceInput { storage_type: Some("io2".to_owned()), ..good() },
        ),
    ];
    for (code, input) in cases {
        assert_eq!(refused(&world, input).await, code);
    }
    let nobody = world.cloud().nobody();
    assert_eq!(nobody.call(good()).await.unwrap_err().code, "AccessDenied");
    let missing = rds::DeleteDBInstanceInput {
        db_instance_identifier: "nothing".to_owned(),
        skip_final_snapshot: Some(true),
        ..Default::default()
    };
    assert_eq!(world.root().call(missing).await.unwrap_err().code, "DBInstanceNotFound");
}

#[tokio::test]
async fn groups_are_made_changed_tagged_and_deleted() {
    let world = World::new(74).await;
    let root = world.root();
    let narrow = rds::CreateDBSubnetGroupInput {
        db_subnet_group_name: "narrow".to_owned(),
        db_subnet_group_description: "one zone".to_owned(),
        subnet_ids: vec!["subnet-0000000a".to_owned(), "subnet-0000001a".to_owned()],
        tags: Vec::new(),
    };
    let code = root.call(narrow).await.unwrap_err().code;
    assert_eq!(code, "DBSubnetGroupDoesNotCoverEnoughAZs");
    world.subnet_group().await;
    let group = rds::CreateDBParameterGroupInput {
        db_parameter_group_name: "site".to_owned(),
        db_parameter_group_family: "mariadb10.11".to_owned(),
        description: "of the site".to_owned(),
        tags: Vec::new(),
    };
    root.call(group.clone()).await.unwrap();
    assert_eq!(root.call(group).await.unwrap_err().code, "DBParameterGroupAlreadyExists");
    let set = |value: &str| rds::ModifyDBParameterGroupInput {
        db_parameter_group_name: "site".to_owned(),
        parameters: vec![rds::Parameter {
            parameter_name: Some("max_connections".to_owned()),
            parameter_value: Some(value.to_owned()),
            apply_method: Some(rds::ApplyMethod::Immediate),
            ..Default::default()
        }],
    };
    root.call(set("300")).await.unwrap();
    assert_eq!(root.call(set("many")).await.unwrap_err().code, "InvalidParameterValue");
    let shown = rds::DescribeDBParametersInput {
        db_parameter_group_name: "site".to_owned(),
        source: Some("user".to_owned()),
        ..Default::default()
    };
    let shown = root.call(shown).await.unwrap().parameters;
    assert_eq!(shown[0].parameter_value.as_deref(), Some("300"));
    let arn = format!("arn:aws:rds:{}:{}:pg:site", testkit::REGION, testkit::ACCOUNT);
    let tag = rds::Tag { key: Some("team".to_owned()), value: Some("shop".to_owned()) };
    let input = rds::AddTagsToResourceInput { resource_name: arn.clone(), tags: vec![tag.clone()] };
    root.call(input).await.unwrap();
    let listed = rds::ListTagsForResourceInput { resource_name: arn, ..Default::default() };
    assert_eq!(root.call(listed).await.unwrap().tag_list, [tag]);
    let all = rds::DescribeDBParameterGroupsInput::default();
    let names: Vec<_> = root.call(all).await.unwrap().db_parameter_groups;
    assert!(
        names
            .iter()
            .any(|one| one.db_parameter_group_name.as_deref() == Some("default.postgres15"))
    );
    let delete = rds::DeleteDBParameterGroupInput { db_parameter_group_name: "site".to_owned() };
    root.call(delete).await.unwrap();
}
