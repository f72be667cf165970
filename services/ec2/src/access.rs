//! What each operation of EC2 is authorized on. An operation without a rule is authorized on `*`.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".

use kernel::Access;
use kernel::access::Need;

pub(crate) const RULES: &[Access] = &[
    Access::new(
        "CreateVpc",
        &[Need::on("ec2:CreateVpc", &["arn:aws:ec2:{region}:{account}:vpc/*"])],
    ),
    Access::new(
        "DeleteVpc",
        &[Need::on("ec2:DeleteVpc", &["arn:aws:ec2:{region}:{account}:vpc/{VpcId}"])],
    ),
    Access::new(
        "ModifyVpcAttribute",
        &[Need::on("ec2:ModifyVpcAttribute", &["arn:aws:ec2:{region}:{account}:vpc/{VpcId}"])],
    ),
    Access::new(
        "DescribeVpcAttribute",
        &[Need::on("ec2:DescribeVpcAttribute", &["arn:aws:ec2:{region}:{account}:vpc/{VpcId}"])],
    ),
    Access::new(
        "AssociateVpcCidrBlock",
        &[Need::on("ec2:AssociateVpcCidrBlock", &["arn:aws:ec2:{region}:{account}:vpc/{VpcId}"])],
    ),
    Access::new(
        "CreateSubnet",
        &[Need::on(
            "ec2:CreateSubnet",
            &[
                "arn:aws:ec2:{region}:{account}:subnet/*",
                "arn:aws:ec2:{region}:{account}:vpc/{VpcId}",
            ],
        )],
    ),
    Access::new(
        "DeleteSubnet",
        &[Need::on("ec2:DeleteSubnet", &["arn:aws:ec2:{region}:{account}:subnet/{SubnetId}"])],
    ),
    Access::new(
        "ModifySubnetAttribute",
        &[Need::on(
            "ec2:ModifySubnetAttribute",
            &["arn:aws:ec2:{region}:{account}:subnet/{SubnetId}"],
        )],
    ),
    Access::new(
        "CreateInternetGateway",
        &[Need::on(
            "ec2:CreateInternetGateway",
            &["arn:aws:ec2:{region}:{account}:internet-gateway/*"],
        )],
    ),
    Access::new(
        "DeleteInternetGateway",
        &[Need::on(
            "ec2:DeleteInternetGateway",
            &["arn:aws:ec2:{region}:{account}:internet-gateway/{InternetGatewayId}"],
        )],
    ),
    Access::new(
        "AttachInternetGateway",
        &[Need::on(
            "ec2:AttachInternetGateway",
            &[
                "arn:aws:ec2:{region}:{account}:internet-gateway/{InternetGatewayId}",
                "arn:aws:ec2:{region}:{account}:vpc/{VpcId}",
            ],
        )],
    ),
    Access::new(
        "DetachInternetGateway",
        &[Need::on(
            "ec2:DetachInternetGateway",
            &[
                "arn:aws:ec2:{region}:{account}:internet-gateway/{InternetGatewayId}",
                "arn:aws:ec2:{region}:{account}:vpc/{VpcId}",
            ],
        )],
    ),
    Access::new(
        "CreateRouteTable",
        &[Need::on(
            "ec2:CreateRouteTable",
            &[
                "arn:aws:ec2:{region}:{account}:route-table/*",
                "arn:aws:ec2:{region}:{account}:vpc/{VpcId}",
            ],
        )],
    ),
    Access::new(
        "DeleteRouteTable",
        &[Need::on(
            "ec2:DeleteRouteTable",
            &["arn:aws:ec2:{region}:{account}:route-table/{RouteTableId}"],
        )],
    ),
    Access::new(
        "AssociateRouteTable",
        &[Need::on(
            "ec2:AssociateRouteTable",
            &[
                "arn:aws:ec2:{region}:{account}:route-table/{RouteTableId}",
                "arn:aws:ec2:{region}:{account}:subnet/{SubnetId}",
            ],
        )],
    ),
    Access::new(
        "CreateRoute",
        &[Need::on(
            "ec2:CreateRoute",
            &["arn:aws:ec2:{region}:{account}:route-table/{RouteTableId}"],
        )],
    ),
    Access::new(
        "ReplaceRoute",
        &[Need::on(
            "ec2:ReplaceRoute",
            &["arn:aws:ec2:{region}:{account}:route-table/{RouteTableId}"],
        )],
    ),
    Access::new(
        "DeleteRoute",
        &[Need::on(
            "ec2:DeleteRoute",
            &["arn:aws:ec2:{region}:{account}:route-table/{RouteTableId}"],
        )],
    ),
    Access::new(
        "ReplaceRouteTableAssociation",
        &[Need::on(
            "ec2:ReplaceRouteTableAssociation",
            &["arn:aws:ec2:{region}:{account}:route-table/{RouteTableId}"],
        )],
    ),
    Access::new(
        "CreateNetworkAcl",
        &[Need::on(
            "ec2:CreateNetworkAcl",
            &[
                "arn:aws:ec2:{region}:{account}:network-acl/*",
                "arn:aws:ec2:{region}:{account}:vpc/{VpcId}",
            ],
        )],
    ),
    Access::new(
        "DeleteNetworkAcl",
        &[Need::on(
            "ec2:DeleteNetworkAcl",
            &["arn:aws:ec2:{region}:{account}:network-acl/{NetworkAclId}"],
        )],
    ),
    Access::new(
        "CreateNetworkAclEntry",
        &[Need::on(
            "ec2:CreateNetworkAclEntry",
            &["arn:aws:ec2:{region}:{account}:network-acl/{NetworkAclId}"],
        )],
    ),
    Access::new(
        "ReplaceNetworkAclEntry",
        &[Need::on(
            "ec2:ReplaceNetworkAclEntry",
            &["arn:aws:ec2:{region}:{account}:network-acl/{NetworkAclId}"],
        )],
    ),
    Access::new(
        "DeleteNetworkAclEntry",
        &[Need::on(
            "ec2:DeleteNetworkAclEntry",
            &["arn:aws:ec2:{region}:{account}:network-acl/{NetworkAclId}"],
        )],
    ),
    Access::new(
        "ReplaceNetworkAclAssociation",
        &[Need::on(
            "ec2:ReplaceNetworkAclAssociation",
            &["arn:aws:ec2:{region}:{account}:network-acl/{NetworkAclId}"],
        )],
    ),
    Access::new(
        "CreateSecurityGroup",
        &[Need::on(
            "ec2:CreateSecurityGroup",
            &[
                "arn:aws:ec2:{region}:{account}:security-group/*",
                "arn:aws:ec2:{region}:{account}:vpc/{VpcId}",
            ],
        )],
    ),
    Access::new(
        "DeleteSecurityGroup",
        &[Need::on(
            "ec2:DeleteSecurityGroup",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "AuthorizeSecurityGroupIngress",
        &[Need::on(
            "ec2:AuthorizeSecurityGroupIngress",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "AuthorizeSecurityGroupEgress",
        &[Need::on(
            "ec2:AuthorizeSecurityGroupEgress",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "RevokeSecurityGroupIngress",
        &[Need::on(
            "ec2:RevokeSecurityGroupIngress",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "RevokeSecurityGroupEgress",
        &[Need::on(
            "ec2:RevokeSecurityGroupEgress",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "ModifySecurityGroupRules",
        &[Need::on(
            "ec2:ModifySecurityGroupRules",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "UpdateSecurityGroupRuleDescriptionsIngress",
        &[Need::on(
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "UpdateSecurityGroupRuleDescriptionsEgress",
        &[Need::on(
            "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
            &["arn:aws:ec2:{region}:{account}:security-group/{GroupId}"],
        )],
    ),
    Access::new(
        "AllocateAddress",
        &[Need::on("ec2:AllocateAddress", &["arn:aws:ec2:{region}:{account}:elastic-ip/*"])],
    ),
    Access::new(
        "ReleaseAddress",
        &[Need::on(
            "ec2:ReleaseAddress",
            &["arn:aws:ec2:{region}:{account}:elastic-ip/{AllocationId}"],
        )],
    ),
    Access::new(
        "AssociateAddress",
        &[Need::on(
            "ec2:AssociateAddress",
            &["arn:aws:ec2:{region}:{account}:elastic-ip/{AllocationId}"],
        )],
    ),
    Access::new(
        "CreateNatGateway",
        &[Need::on(
            "ec2:CreateNatGateway",
            &[
                "arn:aws:ec2:{region}:{account}:natgateway/*",
                "arn:aws:ec2:{region}:{account}:subnet/{SubnetId}",
            ],
        )],
    ),
    Access::new(
        "DeleteNatGateway",
        &[Need::on(
            "ec2:DeleteNatGateway",
            &["arn:aws:ec2:{region}:{account}:natgateway/{NatGatewayId}"],
        )],
    ),
    Access::new(
        "CreateNetworkInterface",
        &[Need::on(
            "ec2:CreateNetworkInterface",
            &[
                "arn:aws:ec2:{region}:{account}:network-interface/*",
                "arn:aws:ec2:{region}:{account}:subnet/{SubnetId}",
            ],
        )],
    ),
    Access::new(
        "DeleteNetworkInterface",
        &[Need::on(
            "ec2:DeleteNetworkInterface",
            &["arn:aws:ec2:{region}:{account}:network-interface/{NetworkInterfaceId}"],
        )],
    ),
    Access::new(
        "ModifyNetworkInterfaceAttribute",
        &[Need::on(
            "ec2:ModifyNetworkInterfaceAttribute",
            &["arn:aws:ec2:{region}:{account}:network-interface/{NetworkInterfaceId}"],
        )],
    ),
    Access::new(
        "AssignPrivateIpAddresses",
        &[Need::on(
            "ec2:AssignPrivateIpAddresses",
            &["arn:aws:ec2:{region}:{account}:network-interface/{NetworkInterfaceId}"],
        )],
    ),
    Access::new(
        "UnassignPrivateIpAddresses",
        &[Need::on(
            "ec2:UnassignPrivateIpAddresses",
            &["arn:aws:ec2:{region}:{account}:network-interface/{NetworkInterfaceId}"],
        )],
    ),
    Access::new(
        "CreateDhcpOptions",
        &[Need::on("ec2:CreateDhcpOptions", &["arn:aws:ec2:{region}:{account}:dhcp-options/*"])],
    ),
    Access::new(
        "DeleteDhcpOptions",
        &[Need::on(
            "ec2:DeleteDhcpOptions",
            &["arn:aws:ec2:{region}:{account}:dhcp-options/{DhcpOptionsId}"],
        )],
    ),
    Access::new(
        "AssociateDhcpOptions",
        &[Need::on(
            "ec2:AssociateDhcpOptions",
            &[
                "arn:aws:ec2:{region}:{account}:dhcp-options/{DhcpOptionsId}",
                "arn:aws:ec2:{region}:{account}:vpc/{VpcId}",
            ],
        )],
    ),
    // Instances and what they are made from.
    Access::new(
        "RunInstances",
        &[
            Need::on(
                "ec2:RunInstances",
                &[
                    "arn:aws:ec2:{region}:{account}:instance/*",
                    "arn:aws:ec2:{region}:{account}:volume/*",
                    "arn:aws:ec2:{region}:{account}:network-interface/*",
                    "arn:aws:ec2:{region}:{account}:subnet/{SubnetId}",
                    "arn:aws:ec2:{region}:{account}:security-group/{SecurityGroupIds}",
                    "arn:aws:ec2:{region}::image/{ImageId}",
                ],
            )
            .keys(&[("ec2:InstanceType", "InstanceType"), ("ec2:Tenancy", "Placement.Tenancy")]),
            Need::on("ec2:RunInstances", &["arn:aws:ec2:{region}:{account}:key-pair/{KeyName}"])
                .when("KeyName"),
        ],
    ),
    Access::new("StartInstances", &[Need::on("ec2:StartInstances", &["arn:aws:ec2:{region}:{account}:instance/{InstanceIds}"])]),
    Access::new("StopInstances", &[Need::on("ec2:StopInstances", &["arn:aws:ec2:{region}:{account}:instance/{InstanceIds}"])]),
    Access::new("RebootInstances", &[Need::on("ec2:RebootInstances", &["arn:aws:ec2:{region}:{account}:instance/{InstanceIds}"])]),
    Access::new("TerminateInstances", &[Need::on("ec2:TerminateInstances", &["arn:aws:ec2:{region}:{account}:instance/{InstanceIds}"])]),
    Access::new("MonitorInstances", &[Need::on("ec2:MonitorInstances", &["arn:aws:ec2:{region}:{account}:instance/{InstanceIds}"])]),
    Access::new("UnmonitorInstances", &[Need::on("ec2:UnmonitorInstances", &["arn:aws:ec2:{region}:{account}:instance/{InstanceIds}"])]),
    Access::new("DescribeInstanceAttribute", &[Need::on("ec2:DescribeInstanceAttribute", &["arn:aws:ec2:{region}:{account}:instance/{InstanceId}"])]),
    Access::new("ModifyInstanceAttribute", &[Need::on("ec2:ModifyInstanceAttribute", &["arn:aws:ec2:{region}:{account}:instance/{InstanceId}"])]),
    Access::new("ModifyInstanceMetadataOptions", &[Need::on("ec2:ModifyInstanceMetadataOptions", &["arn:aws:ec2:{region}:{account}:instance/{InstanceId}"])]),
    Access::new("GetConsoleOutput", &[Need::on("ec2:GetConsoleOutput", &["arn:aws:ec2:{region}:{account}:instance/{InstanceId}"])]),
    Access::new("AssociateIamInstanceProfile", &[Need::on("ec2:AssociateIamInstanceProfile", &["arn:aws:ec2:{region}:{account}:instance/{InstanceId}"])]),
    Access::new("CreateImage", &[Need::on("ec2:CreateImage", &["arn:aws:ec2:{region}:{account}:instance/{InstanceId}", "arn:aws:ec2:{region}::image/*", "arn:aws:ec2:{region}::snapshot/*"])]),
    Access::new("RegisterImage", &[Need::on("ec2:RegisterImage", &["arn:aws:ec2:{region}::image/*"])]),
    Access::new("DeregisterImage", &[Need::on("ec2:DeregisterImage", &["arn:aws:ec2:{region}::image/{ImageId}"])]),
    Access::new("DescribeImageAttribute", &[Need::on("ec2:DescribeImageAttribute", &["arn:aws:ec2:{region}::image/{ImageId}"])]),
    Access::new("ModifyImageAttribute", &[Need::on("ec2:ModifyImageAttribute", &["arn:aws:ec2:{region}::image/{ImageId}"])]),
    Access::new("CreateKeyPair", &[Need::on("ec2:CreateKeyPair", &["arn:aws:ec2:{region}:{account}:key-pair/{KeyName}"])]),
    Access::new("ImportKeyPair", &[Need::on("ec2:ImportKeyPair", &["arn:aws:ec2:{region}:{account}:key-pair/{KeyName}"])]),
    Access::new("DeleteKeyPair", &[Need::on("ec2:DeleteKeyPair", &["arn:aws:ec2:{region}:{account}:key-pair/{KeyName}"])]),
    Access::new("CreateLaunchTemplate", &[Need::on("ec2:CreateLaunchTemplate", &["arn:aws:ec2:{region}:{account}:launch-template/*"])]),
    Access::new("CreateLaunchTemplateVersion", &[Need::on("ec2:CreateLaunchTemplateVersion", &["arn:aws:ec2:{region}:{account}:launch-template/{LaunchTemplateId}"])]),
    Access::new("ModifyLaunchTemplate", &[Need::on("ec2:ModifyLaunchTemplate", &["arn:aws:ec2:{region}:{account}:launch-template/{LaunchTemplateId}"])]),
    Access::new("DeleteLaunchTemplate", &[Need::on("ec2:DeleteLaunchTemplate", &["arn:aws:ec2:{region}:{account}:launch-template/{LaunchTemplateId}"])]),
    Access::new("DeleteLaunchTemplateVersions", &[Need::on("ec2:DeleteLaunchTemplateVersions", &["arn:aws:ec2:{region}:{account}:launch-template/{LaunchTemplateId}"])]),
];
