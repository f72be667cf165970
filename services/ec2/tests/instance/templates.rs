//! Launch templates.

use ec2_api::{
    CreateLaunchTemplateInput, CreateLaunchTemplateVersionInput, DeleteLaunchTemplateInput,
    DeleteLaunchTemplateVersionsInput, DescribeLaunchTemplateVersionsInput,
    DescribeLaunchTemplatesInput, GetLaunchTemplateDataInput, LaunchTemplateSpecification,
    LaunchTemplateTagSpecificationRequest, ModifyLaunchTemplateInput, RequestLaunchTemplateData,
    RunInstancesInput, Tag,
};

use crate::region::{Lab, code};

async fn template(lab: &Lab) -> CreateLaunchTemplateInput {
    CreateLaunchTemplateInput {
        launch_template_name: "web".to_owned(),
        launch_template_data: RequestLaunchTemplateData {
            image_id: Some(lab.debian().await),
            instance_type: Some("t3.nano".to_owned()),
            user_data: Some("IyEvYmluL3NoCg==".to_owned()),
            tag_specifications: vec![LaunchTemplateTagSpecificationRequest {
                resource_type: Some("instance".to_owned()),
                tags: vec![Tag { key: Some("tier".to_owned()), value: Some("web".to_owned()) }],
            }],
            ..Default::default()
        },
        ..Default::default()
    }
}

fn named(version: &str) -> RunInstancesInput {
    RunInstancesInput {
        min_count: 1,
        max_count: 1,
        launch_template: Some(LaunchTemplateSpecification {
            launch_template_name: Some("web".to_owned()),
            version: Some(version.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn instances_are_launched_from_the_version_that_is_named() {
    let lab = Lab::start().await;
    let made = lab.root.call(template(&lab).await).await.unwrap().launch_template.unwrap();
    let second = CreateLaunchTemplateVersionInput {
        launch_template_id: made.launch_template_id.clone(),
        source_version: Some("1".to_owned()),
        launch_template_data: RequestLaunchTemplateData {
            instance_type: Some("t3.small".to_owned()),
            ..Default::default()
        },
        ..Default::default()
    };
    let version = lab.root.call(second).await.unwrap().launch_template_version.unwrap();
    assert_eq!((version.version_number, version.default_version), (Some(2), Some(false)));
    let by_default = lab.running(named("$Default")).await;
    assert_eq!(by_default.instance_type.as_deref(), Some("t3.nano"));
    let latest = lab.running(named("$Latest")).await;
    assert_eq!(latest.instance_type.as_deref(), Some("t3.small"));
    let keys: Vec<_> = latest.tags.iter().filter_map(|tag| tag.key.clone()).collect();
    assert_eq!(keys, ["aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version", "tier"]);
    let over = RunInstancesInput { instance_type: Some("t3.micro".to_owned()), ..named("2") };
    assert_eq!(lab.running(over).await.instance_type.as_deref(), Some("t3.micro"));
    assert_eq!(code(lab.run(named("9")).await), "InvalidLaunchTemplateId.VersionNotFound");
    let data =
        GetLaunchTemplateDataInput { instance_id: latest.instance_id.unwrap(), dry_run: None };
    let data = lab.root.call(data).await.unwrap().launch_template_data.unwrap();
    assert_eq!(data.instance_type.as_deref(), Some("t3.small"));
}

#[tokio::test]
async fn templates_are_changed_told_and_removed() {
    let lab = Lab::start().await;
    let input = template(&lab).await;
    lab.root.call(input.clone()).await.unwrap();
    let taken = "InvalidLaunchTemplateName.AlreadyExistsException";
    assert_eq!(code(lab.root.call(input.clone()).await), taken);
    let bad = CreateLaunchTemplateInput { launch_template_name: "a b c".to_owned(), ..input };
    let malformed = "InvalidLaunchTemplateName.MalformedException";
    assert_eq!(code(lab.root.call(bad).await), malformed);
    let second = CreateLaunchTemplateVersionInput {
        launch_template_name: Some("web".to_owned()),
        launch_template_data: RequestLaunchTemplateData {
            key_name: None,
            instance_type: Some("t3.small".to_owned()),
            ..Default::default()
        },
        ..Default::default()
    };
    lab.root.call(second).await.unwrap();
    let modify = ModifyLaunchTemplateInput {
        launch_template_name: Some("web".to_owned()),
        default_version: Some("2".to_owned()),
        ..Default::default()
    };
    let changed = lab.root.call(modify).await.unwrap().launch_template.unwrap();
    assert_eq!(changed.default_version_number, Some(2));
    let delete = DeleteLaunchTemplateVersionsInput {
        launch_template_name: Some("web".to_owned()),
        versions: vec!["1".to_owned(), "7".to_owned()],
        ..Default::default()
    };
    let deleted = lab.root.call(delete).await.unwrap();
    assert_eq!(deleted.successfully_deleted_launch_template_versions.len(), 1);
    assert_eq!(deleted.unsuccessfully_deleted_launch_template_versions.len(), 1);
    let versions = DescribeLaunchTemplateVersionsInput {
        launch_template_name: Some("web".to_owned()),
        ..Default::default()
    };
    let versions = lab.root.call(versions).await.unwrap().launch_template_versions;
    assert_eq!(versions.len(), 1);
    let gone = DeleteLaunchTemplateInput {
        launch_template_name: Some("web".to_owned()),
        ..Default::default()
    };
    lab.root.call(gone.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(gone).await), "InvalidLaunchTemplateName.NotFoundException");
    let all = lab.root.call(DescribeLaunchTemplatesInput::default()).await.unwrap();
    assert_eq!(all.launch_templates.len(), 0);
}
