//! Who may do nothing is refused each operation.

use bytes::Bytes;
use ec2_api as api;

use crate::region::{Lab, code};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of all operations")]
async fn nobody_may_do_anything() {
    const DENIED: &str = "UnauthorizedOperation";
    let lab = Lab::start().await;
    let nobody = lab.cloud.nobody();
    let id = || "i-00000000000000000".to_owned();
    let ids = || vec![id()];
    let ami = || "ami-00000000000000000".to_owned();
    let template = || Some("web".to_owned());
    macro_rules! denied {
        ($($input:ident { $($field:ident: $value:expr),* $(,)? });+ $(;)?) => {$(
            #[allow(clippy::needless_update, reason = "some inputs have these members alone")]
            let input = api::$input { $($field: $value,)* ..Default::default() };
            assert_eq!(code(nobody.call(input).await), DENIED, stringify!($input));
        )+};
    }
    denied! {
        RunInstancesInput { image_id: Some(ami()), min_count: 1, max_count: 1 };
        StartInstancesInput { instance_ids: ids() };
        StopInstancesInput { instance_ids: ids() };
        RebootInstancesInput { instance_ids: ids() };
        TerminateInstancesInput { instance_ids: ids() };
        MonitorInstancesInput { instance_ids: ids() };
        UnmonitorInstancesInput { instance_ids: ids() };
        DescribeInstancesInput {};
        DescribeInstanceStatusInput {};
        DescribeInstanceTypesInput {};
        DescribeInstanceTypeOfferingsInput {};
        DescribeInstanceAttributeInput { instance_id: id() };
        ModifyInstanceAttributeInput { instance_id: id() };
        ModifyInstanceMetadataOptionsInput { instance_id: id() };
        GetConsoleOutputInput { instance_id: id() };
        AssociateIamInstanceProfileInput {
            instance_id: id(),
            iam_instance_profile: api::IamInstanceProfileSpecification {
                arn: None,
                name: Some("web".to_owned()),
            },
        };
        DisassociateIamInstanceProfileInput { association_id: "iip-assoc-0".to_owned() };
        ReplaceIamInstanceProfileAssociationInput {
            association_id: "iip-assoc-0".to_owned(),
            iam_instance_profile: api::IamInstanceProfileSpecification {
                arn: None,
                name: Some("web".to_owned()),
            },
        };
        DescribeIamInstanceProfileAssociationsInput {};
        DescribeImagesInput {};
        CreateImageInput { instance_id: id(), name: "golden".to_owned() };
        RegisterImageInput { name: "golden".to_owned() };
        DeregisterImageInput { image_id: ami() };
        DescribeImageAttributeInput { image_id: ami() };
        ModifyImageAttributeInput { image_id: ami() };
        CreateKeyPairInput { key_name: "k".to_owned() };
        ImportKeyPairInput {
            key_name: "k".to_owned(),
            public_key_material: Bytes::from_static(b"ssh-rsa"),
        };
        DeleteKeyPairInput { key_name: Some("k".to_owned()) };
        DescribeKeyPairsInput {};
        DescribeVolumesInput {};
        DescribeVolumeStatusInput {};
        DescribeSnapshotsInput {};
        CreateLaunchTemplateInput {
            launch_template_name: "web".to_owned(),
            launch_template_data: api::RequestLaunchTemplateData {
                image_id: Some(ami()),
                ..Default::default()
            },
        };
        CreateLaunchTemplateVersionInput {
            launch_template_name: template(),
            launch_template_data: api::RequestLaunchTemplateData {
                image_id: Some(ami()),
                ..Default::default()
            },
        };
        DeleteLaunchTemplateInput { launch_template_name: template() };
        DeleteLaunchTemplateVersionsInput {
            launch_template_name: template(),
            versions: vec!["1".to_owned()],
        };
        DescribeLaunchTemplatesInput {};
        DescribeLaunchTemplateVersionsInput { launch_template_name: template() };
        ModifyLaunchTemplateInput { launch_template_name: template() };
        GetLaunchTemplateDataInput { instance_id: id() };
    }
}
