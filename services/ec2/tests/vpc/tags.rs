//! Tags of every kind of resource.

use ec2_api::*;

use crate::region::{Lab, code, filter};

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
}

#[tokio::test]
async fn tags_are_set_found_and_taken() {
    let lab = Lab::start().await;
    let specification =
        TagSpecification { resource_type: Some("vpc".to_owned()), tags: vec![tag("Name", "one")] };
    let input = CreateVpcInput {
        cidr_block: Some("10.0.0.0/16".to_owned()),
        tag_specifications: vec![specification],
        ..Default::default()
    };
    let vpc = lab.root.call(input).await.unwrap().vpc.unwrap().vpc_id.unwrap();
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let create = |tags| CreateTagsInput {
        resources: vec![vpc.clone(), subnet.clone()],
        tags,
        dry_run: None,
    };
    lab.root.call(create(vec![tag("env", "test")])).await.unwrap();
    assert_eq!(code(lab.root.call(create(vec![tag("aws:x", "y")])).await), "InvalidParameterValue");
    let many = (0..51).map(|n| tag(&format!("k{n}"), "v")).collect();
    assert_eq!(code(lab.root.call(create(many)).await), "TagLimitExceeded");
    let unknown = CreateTagsInput {
        resources: vec!["vpc-0123456789abcdef0".to_owned()],
        tags: vec![tag("a", "b")],
        dry_run: None,
    };
    assert_eq!(code(lab.root.call(unknown).await), "InvalidVpcID.NotFound");
    let filters = vec![filter("tag:env", "t*t"), filter("tag:Name", "one")];
    let found = lab.root.call(DescribeVpcsInput { filters, ..Default::default() }).await.unwrap();
    assert_eq!(found.vpcs[0].vpc_id.as_deref(), Some(vpc.as_str()));
    let filters = vec![filter("key", "env")];
    let input = DescribeTagsInput { filters, ..Default::default() };
    assert_eq!(lab.root.call(input.clone()).await.unwrap().tags.len(), 2);
    let delete = DeleteTagsInput {
        resources: vec![vpc.clone(), subnet],
        tags: vec![Tag { key: Some("env".to_owned()), value: None }],
        dry_run: None,
    };
    lab.root.call(delete).await.unwrap();
    assert!(lab.root.call(input).await.unwrap().tags.is_empty());
}
