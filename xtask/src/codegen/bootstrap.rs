//! Operations that are being built: their shapes come before the rows in their services' tables.
//! A service leaves this list when its table is complete.

/// A service by boto3's client name, and its operations.
pub(super) const BOOTSTRAP: &[(&str, &str)] = &[
    (
        "sts",
        "GetCallerIdentity AssumeRole GetSessionToken DecodeAuthorizationMessage \
         GetAccessKeyInfo",
    ),
    (
        "iam",
        "CreateUser GetUser DeleteUser ListUsers UpdateUser CreateGroup GetGroup DeleteGroup \
         ListGroups AddUserToGroup RemoveUserFromGroup ListGroupsForUser CreateRole GetRole \
         DeleteRole ListRoles UpdateRole UpdateAssumeRolePolicy CreateAccessKey \
         ListAccessKeys UpdateAccessKey DeleteAccessKey GetAccessKeyLastUsed CreatePolicy \
         GetPolicy DeletePolicy ListPolicies CreatePolicyVersion GetPolicyVersion \
         ListPolicyVersions DeletePolicyVersion SetDefaultPolicyVersion PutUserPolicy \
         GetUserPolicy DeleteUserPolicy ListUserPolicies PutGroupPolicy GetGroupPolicy \
         DeleteGroupPolicy ListGroupPolicies PutRolePolicy GetRolePolicy DeleteRolePolicy \
         ListRolePolicies AttachUserPolicy DetachUserPolicy ListAttachedUserPolicies \
         AttachGroupPolicy DetachGroupPolicy ListAttachedGroupPolicies AttachRolePolicy \
         DetachRolePolicy ListAttachedRolePolicies ListEntitiesForPolicy \
         CreateInstanceProfile GetInstanceProfile DeleteInstanceProfile ListInstanceProfiles \
         AddRoleToInstanceProfile RemoveRoleFromInstanceProfile ListInstanceProfilesForRole \
         CreateServiceLinkedRole DeleteServiceLinkedRole GetServiceLinkedRoleDeletionStatus \
         TagRole UntagRole ListRoleTags TagUser UntagUser ListUserTags TagPolicy UntagPolicy \
         ListPolicyTags TagInstanceProfile UntagInstanceProfile ListInstanceProfileTags \
         GetAccountSummary ListAccountAliases",
    ),
    (
        "ec2",
        "DescribeRegions DescribeAvailabilityZones DescribeAccountAttributes CreateVpc \
         DescribeVpcs DeleteVpc ModifyVpcAttribute DescribeVpcAttribute AssociateVpcCidrBlock \
         DisassociateVpcCidrBlock CreateDefaultVpc CreateDefaultSubnet CreateSubnet \
         DescribeSubnets DeleteSubnet ModifySubnetAttribute CreateInternetGateway \
         DescribeInternetGateways DeleteInternetGateway AttachInternetGateway \
         DetachInternetGateway CreateNatGateway DescribeNatGateways DeleteNatGateway \
         CreateRouteTable DescribeRouteTables DeleteRouteTable CreateRoute ReplaceRoute \
         DeleteRoute AssociateRouteTable DisassociateRouteTable ReplaceRouteTableAssociation \
         AllocateAddress DescribeAddresses ReleaseAddress AssociateAddress \
         DisassociateAddress CreateNetworkInterface DescribeNetworkInterfaces \
         DeleteNetworkInterface ModifyNetworkInterfaceAttribute \
         DescribeNetworkInterfaceAttribute AssignPrivateIpAddresses \
         UnassignPrivateIpAddresses AttachNetworkInterface DetachNetworkInterface \
         CreateSecurityGroup DescribeSecurityGroups DeleteSecurityGroup \
         AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress \
         RevokeSecurityGroupIngress RevokeSecurityGroupEgress DescribeSecurityGroupRules \
         ModifySecurityGroupRules UpdateSecurityGroupRuleDescriptionsIngress \
         UpdateSecurityGroupRuleDescriptionsEgress CreateNetworkAcl DescribeNetworkAcls \
         DeleteNetworkAcl CreateNetworkAclEntry ReplaceNetworkAclEntry DeleteNetworkAclEntry \
         ReplaceNetworkAclAssociation CreateDhcpOptions DescribeDhcpOptions DeleteDhcpOptions \
         AssociateDhcpOptions CreateTags DeleteTags DescribeTags RunInstances \
         DescribeInstances DescribeInstanceStatus StartInstances StopInstances \
         RebootInstances TerminateInstances DescribeInstanceAttribute ModifyInstanceAttribute \
         ModifyInstanceMetadataOptions GetConsoleOutput DescribeInstanceTypes \
         DescribeInstanceTypeOfferings DescribeImages CreateImage DeregisterImage \
         DescribeImageAttribute ModifyImageAttribute RegisterImage CreateKeyPair \
         ImportKeyPair DescribeKeyPairs DeleteKeyPair DescribeVolumes DescribeVolumeStatus \
         DescribeSnapshots CreateLaunchTemplate CreateLaunchTemplateVersion \
         DescribeLaunchTemplates DescribeLaunchTemplateVersions ModifyLaunchTemplate \
         DeleteLaunchTemplate DeleteLaunchTemplateVersions GetLaunchTemplateData \
         AssociateIamInstanceProfile DisassociateIamInstanceProfile \
         ReplaceIamInstanceProfileAssociation DescribeIamInstanceProfileAssociations \
         DescribePrefixLists DescribeManagedPrefixLists MonitorInstances UnmonitorInstances",
    ),
    (
        "elbv2",
        "CreateLoadBalancer DescribeLoadBalancers DeleteLoadBalancer \
         ModifyLoadBalancerAttributes DescribeLoadBalancerAttributes SetSubnets \
         SetSecurityGroups SetIpAddressType CreateListener DescribeListeners ModifyListener \
         DeleteListener DescribeListenerAttributes CreateRule DescribeRules ModifyRule \
         DeleteRule SetRulePriorities CreateTargetGroup DescribeTargetGroups \
         ModifyTargetGroup DeleteTargetGroup ModifyTargetGroupAttributes \
         DescribeTargetGroupAttributes RegisterTargets DeregisterTargets DescribeTargetHealth \
         AddTags RemoveTags DescribeTags DescribeAccountLimits DescribeSSLPolicies",
    ),
    (
        "autoscaling",
        "CreateAutoScalingGroup DescribeAutoScalingGroups UpdateAutoScalingGroup \
         DeleteAutoScalingGroup SetDesiredCapacity DescribeAutoScalingInstances \
         DescribeScalingActivities TerminateInstanceInAutoScalingGroup SetInstanceHealth \
         AttachInstances DetachInstances AttachLoadBalancerTargetGroups \
         DetachLoadBalancerTargetGroups DescribeLoadBalancerTargetGroups AttachTrafficSources \
         DetachTrafficSources DescribeTrafficSources StartInstanceRefresh \
         DescribeInstanceRefreshes CancelInstanceRefresh SuspendProcesses ResumeProcesses \
         CreateOrUpdateTags DeleteTags DescribeTags EnterStandby ExitStandby \
         SetInstanceProtection DescribeAccountLimits DescribeAutoScalingNotificationTypes \
         DescribeTerminationPolicyTypes DescribeAdjustmentTypes DescribeScalingProcessTypes",
    ),
    (
        "rds",
        "CreateDBInstance DescribeDBInstances ModifyDBInstance DeleteDBInstance \
         RebootDBInstance StartDBInstance StopDBInstance CreateDBInstanceReadReplica \
         PromoteReadReplica CreateDBSnapshot DescribeDBSnapshots DeleteDBSnapshot \
         RestoreDBInstanceFromDBSnapshot CreateDBSubnetGroup DescribeDBSubnetGroups \
         ModifyDBSubnetGroup DeleteDBSubnetGroup CreateDBParameterGroup \
         DescribeDBParameterGroups ModifyDBParameterGroup ResetDBParameterGroup \
         DeleteDBParameterGroup DescribeDBParameters DescribeDBEngineVersions \
         DescribeOrderableDBInstanceOptions DescribeEvents AddTagsToResource \
         RemoveTagsFromResource ListTagsForResource DescribeDBLogFiles \
         DownloadDBLogFilePortion DescribeEngineDefaultParameters",
    ),
    (
        "elasticache",
        "CreateReplicationGroup DescribeReplicationGroups ModifyReplicationGroup \
         DeleteReplicationGroup TestFailover CreateCacheCluster DescribeCacheClusters \
         ModifyCacheCluster DeleteCacheCluster RebootCacheCluster CreateCacheSubnetGroup \
         DescribeCacheSubnetGroups ModifyCacheSubnetGroup DeleteCacheSubnetGroup \
         CreateCacheParameterGroup DescribeCacheParameterGroups ModifyCacheParameterGroup \
         DeleteCacheParameterGroup DescribeCacheParameters DescribeCacheEngineVersions \
         IncreaseReplicaCount DecreaseReplicaCount AddTagsToResource RemoveTagsFromResource \
         ListTagsForResource DescribeEvents",
    ),
    (
        "s3",
        "CreateBucket DeleteBucket HeadBucket ListBuckets GetBucketLocation PutObject \
         GetObject HeadObject DeleteObject DeleteObjects CopyObject ListObjects ListObjectsV2 \
         CreateMultipartUpload UploadPart UploadPartCopy CompleteMultipartUpload \
         AbortMultipartUpload ListMultipartUploads ListParts PutBucketTagging \
         GetBucketTagging DeleteBucketTagging PutObjectTagging GetObjectTagging \
         DeleteObjectTagging PutBucketPolicy GetBucketPolicy DeleteBucketPolicy \
         GetPublicAccessBlock PutPublicAccessBlock DeletePublicAccessBlock \
         GetBucketEncryption PutBucketEncryption DeleteBucketEncryption GetBucketVersioning \
         GetBucketOwnershipControls PutBucketOwnershipControls DeleteBucketOwnershipControls \
         GetObjectAttributes",
    ),
    (
        "ssm",
        "PutParameter GetParameter GetParameters GetParametersByPath DescribeParameters \
         DeleteParameter DeleteParameters GetParameterHistory LabelParameterVersion \
         AddTagsToResource RemoveTagsFromResource ListTagsForResource",
    ),
    (
        "secretsmanager",
        "CreateSecret GetSecretValue PutSecretValue UpdateSecret DescribeSecret ListSecrets \
         DeleteSecret RestoreSecret GetRandomPassword ListSecretVersionIds \
         UpdateSecretVersionStage TagResource UntagResource PutResourcePolicy \
         GetResourcePolicy DeleteResourcePolicy",
    ),
    (
        "cloudformation",
        "CreateStack UpdateStack DeleteStack DescribeStacks ListStacks DescribeStackEvents \
         DescribeStackResource DescribeStackResources ListStackResources GetTemplate \
         GetTemplateSummary ValidateTemplate CreateChangeSet DescribeChangeSet \
         ExecuteChangeSet DeleteChangeSet ListChangeSets SignalResource CancelUpdateStack \
         ContinueUpdateRollback RollbackStack ListExports ListImports \
         UpdateTerminationProtection SetStackPolicy GetStackPolicy",
    ),
];
