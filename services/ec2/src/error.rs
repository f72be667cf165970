//! The errors of EC2, one variant a documented code. EC2's model has no error shapes.
//!
//! AWS: "Error codes for the Amazon EC2 API".

use kernel::ServiceError;
use kernel::filter::UnknownFilter;
use kernel::tags::TagError;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Declares the errors: variant, code and text of each stand in one line.
macro_rules! errors {
    ($($variant:ident $(($($field:ty),+))? = $code:literal, $text:literal;)+) => {
        #[derive(Debug, thiserror::Error)]
        pub(crate) enum Error {
            $(#[error($text)] $variant $(($($field),+))?,)+
            #[error(transparent)]
            Inside(#[from] ServiceError),
            #[error("the store failed")]
            Store(#[from] store::Error),
        }

        impl From<Error> for ServiceError {
            fn from(error: Error) -> Self {
                let text = error.to_string();
                match error {
                    $(errors!(@pattern $variant $(($($field),+))?) => Self::new($code, text),)+
                    Error::Inside(inside) => inside,
                    Error::Store(cause) => Self::internal(cause),
                }
            }
        }
    };
    (@pattern $variant:ident) => { Error::$variant };
    (@pattern $variant:ident ($($field:ty),+)) => { Error::$variant(..) };
}

errors! {
    // Of every resource.
    MissingParameter(String) = "MissingParameter", "The request must contain the parameter {0}";
    InvalidParameterValue(String) = "InvalidParameterValue", "{0}";
    InvalidParameterCombination(String) = "InvalidParameterCombination", "{0}";
    InvalidParameter(String) = "InvalidParameter", "{0}";
    IdempotentParameterMismatch = "IdempotentParameterMismatch",
        "Request was made with the same client token but different parameters.";
    Unsupported(String) = "UnsupportedOperation", "{0}";
    OperationNotPermitted(String) = "OperationNotPermitted", "{0}";
    DependencyViolation(String) = "DependencyViolation", "{0}";
    IncorrectState(String) = "IncorrectState", "{0}";
    InvalidPaginationToken = "InvalidPaginationToken",
        "The token you provided is not valid.";
    FilterLimitExceeded = "FilterLimitExceeded",
        "The maximum number of filter values specified on a single call is 200.";

    // Tags.
    InvalidId(String) = "InvalidID", "The ID '{0}' is not valid";
    TagLimitExceeded = "TagLimitExceeded",
        "The maximum number of Tags for a resource has been reached.";

    // VPCs and their blocks.
    VpcNotFound(String) = "InvalidVpcID.NotFound", "The vpc ID '{0}' does not exist";
    VpcRange(String) = "InvalidVpc.Range", "The CIDR '{0}' is invalid.";
    VpcRangeRestricted(String) = "InvalidVpc.Range",
        "The CIDR '{0}' is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or use a publicly-routable CIDR.";
    VpcLimitExceeded = "VpcLimitExceeded", "The maximum number of VPCs has been reached.";
    DefaultVpcAlreadyExists = "DefaultVpcAlreadyExists",
        "A Default VPC already exists for this account in this region.";
    VpcIdNotSpecified = "VPCIdNotSpecified", "No default VPC for this user";
    CidrAssociationNotFound(String) = "InvalidVpcCidrBlockAssociationID.NotFound",
        "The vpc CIDR block association ID '{0}' does not exist";
    CidrConflict(String) = "CidrConflict", "The CIDR '{0}' conflicts with another block of the VPC";
    CidrBlockLimitExceeded(String) = "VpcCidrBlockLimitExceeded",
        "The maximum number of CIDR blocks for VPC '{0}' has been reached.";

    // Subnets.
    SubnetNotFound(String) = "InvalidSubnetID.NotFound", "The subnet ID '{0}' does not exist";
    SubnetConflict(String) = "InvalidSubnet.Conflict",
        "The CIDR '{0}' conflicts with another subnet";
    SubnetRange(String) = "InvalidSubnet.Range", "The CIDR '{0}' is invalid.";
    SubnetLimitExceeded = "SubnetLimitExceeded",
        "The maximum number of subnets for the VPC has been reached.";
    DefaultSubnetAlreadyExists(String) = "DefaultSubnetAlreadyExistsInAvailabilityZone",
        "'{0}' is already the default subnet in this Availability Zone.";
    DefaultVpcDoesNotExist = "DefaultVpcDoesNotExist",
        "No default VPC exists for this account in this region.";
    MissingInput(String) = "MissingInput", "{0}";
    InsufficientFreeAddresses(String) = "InsufficientFreeAddressesInSubnet",
        "There are not enough free addresses in subnet '{0}' to satisfy the requested number of instances.";

    // Gateways.
    InternetGatewayNotFound(String) = "InvalidInternetGatewayID.NotFound",
        "The internetGateway ID '{0}' does not exist";
    InternetGatewayLimitExceeded = "InternetGatewayLimitExceeded",
        "The maximum number of internet gateways has been reached.";
    AlreadyAssociated(String) = "Resource.AlreadyAssociated", "{0}";
    GatewayNotAttached(String) = "Gateway.NotAttached", "{0}";
    GatewayIdNotFound(String) = "InvalidGatewayID.NotFound",
        "The gateway ID '{0}' does not exist";
    NatGatewayIdNotFound(String) = "InvalidNatGatewayID.NotFound",
        "The natGateway ID '{0}' does not exist";
    NatGatewayNotFound(String) = "NatGatewayNotFound", "NatGateway {0} was not found";
    NatGatewayLimitExceeded = "NatGatewayLimitExceeded",
        "The maximum number of NAT gateways has been reached.";

    // Routes.
    RouteTableNotFound(String) = "InvalidRouteTableID.NotFound",
        "The routeTable ID '{0}' does not exist";
    RouteTableLimitExceeded = "RouteTableLimitExceeded",
        "The maximum number of route tables has been reached.";
    RouteNotFound(String, String) = "InvalidRoute.NotFound",
        "no route with destination-cidr-block {1} in route table {0}";
    RouteAlreadyExists(String) = "RouteAlreadyExists", "The route identified by {0} already exists.";
    RouteLimitExceeded(String) = "RouteLimitExceeded",
        "The maximum number of routes for route table '{0}' has been reached.";
    AssociationNotFound(String) = "InvalidAssociationID.NotFound",
        "The association ID '{0}' does not exist";

    // Addresses.
    AddressLimitExceeded = "AddressLimitExceeded",
        "The maximum number of addresses has been reached.";
    InsufficientAddressCapacity = "InsufficientAddressCapacity",
        "Insufficient capacity to satisfy your Elastic IP address request.";
    AllocationNotFound(String) = "InvalidAllocationID.NotFound",
        "The allocation ID '{0}' does not exist";
    AddressNotFound(String) = "InvalidAddress.NotFound", "Address '{0}' not found.";
    AddressInUse(String) = "InvalidIPAddress.InUse", "{0}";
    AuthFailure(String) = "AuthFailure", "{0}";

    // Interfaces.
    InterfaceNotFound(String) = "InvalidNetworkInterfaceID.NotFound",
        "The networkInterface ID '{0}' does not exist";
    InterfaceInUse(String) = "InvalidNetworkInterface.InUse", "{0}";
    InterfaceLimitExceeded = "NetworkInterfaceLimitExceeded",
        "The maximum number of network interfaces has been reached.";
    AttachmentNotFound(String) = "InvalidAttachmentID.NotFound",
        "The networkInterface attachment ID '{0}' does not exist";
    PrivateIpAddressLimitExceeded(String) = "PrivateIpAddressLimitExceeded", "{0}";
    GroupsPerInterfaceLimitExceeded = "SecurityGroupsPerInterfaceLimitExceeded",
        "The maximum number of security groups per interface has been reached.";

    // Security groups.
    GroupNotFound(String) = "InvalidGroup.NotFound", "The security group '{0}' does not exist";
    GroupNotInVpc(String, String) = "InvalidGroup.NotFound",
        "The security group '{0}' does not exist in VPC '{1}'";
    GroupOfOtherNetwork = "InvalidGroup.NotFound",
        "You have specified two resources that belong to different networks.";
    GroupIdMalformed(String) = "InvalidGroupId.Malformed",
        "Invalid id: \"{0}\" (expecting \"sg-...\")";
    GroupDuplicate(String, String) = "InvalidGroup.Duplicate",
        "The security group '{0}' already exists for VPC '{1}'";
    CannotDelete(String) = "CannotDelete", "{0}";
    SecurityGroupLimitExceeded = "SecurityGroupLimitExceeded",
        "The maximum number of security groups has been reached.";
    RulesPerGroupLimitExceeded = "RulesPerSecurityGroupLimitExceeded",
        "The maximum number of rules per security group has been reached.";
    PermissionDuplicate(String) = "InvalidPermission.Duplicate",
        "the specified rule \"{0}\" already exists";
    PermissionNotFound = "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.";
    RuleIdNotFound(String) = "InvalidSecurityGroupRuleId.NotFound",
        "The security group rule ID '{0}' does not exist";
    PrefixListNotFound(String) = "InvalidPrefixListID.NotFound",
        "The prefix list ID '{0}' does not exist";

    // Network ACLs.
    NetworkAclNotFound(String) = "InvalidNetworkAclID.NotFound",
        "The networkAcl ID '{0}' does not exist";
    NetworkAclLimitExceeded = "NetworkAclLimitExceeded",
        "The maximum number of network ACLs has been reached.";
    AclEntryAlreadyExists(u16) = "NetworkAclEntryAlreadyExists",
        "The network acl entry identified by {0} already exists.";
    AclEntryNotFound(u16, String) = "InvalidNetworkAclEntry.NotFound",
        "The network acl entry identified by {0} in network acl {1} does not exist";
    AclEntryLimitExceeded = "NetworkAclEntryLimitExceeded",
        "The maximum number of network acl entries has been reached.";

    // DHCP options.
    DhcpOptionsNotFound(String) = "InvalidDhcpOptionID.NotFound",
        "The dhcpOption ID '{0}' does not exist";

    // Regions and zones.
    InvalidZone(String) = "InvalidParameterValue", "Invalid availability zone: [{0}]";

    // Instances.
    InstanceNotFound(String) = "InvalidInstanceID.NotFound",
        "The instance ID '{0}' does not exist";
    InvalidInstanceId(String) = "InvalidInstanceID", "{0}";
    InstanceAttribute(String) = "InvalidInstanceAttributeValue", "{0}";
    InstanceLimitExceeded(usize) = "InstanceLimitExceeded",
        "You have requested more instances ({0}) than your current instance limit allows.";
    InstancesNotFound(String) = "InvalidInstanceID.NotFound",
        "The instance IDs '{0}' do not exist";
    InstanceIdMalformed(String) = "InvalidInstanceID.Malformed", "Invalid id: \"{0}\"";
    IncorrectInstanceState(String) = "IncorrectInstanceState", "{0}";
    InstanceTypeUnknown(String) = "InvalidParameterValue", "Invalid value '{0}' for InstanceType.";
    InstanceTypesUnknown(String) = "InvalidInstanceType",
        "The following supplied instance types do not exist: [{0}]";
    InstanceTypeUnsupported(String) = "InvalidParameterValue",
        "The architecture 'arm64' of the specified instance type '{0}' does not match the architecture 'x86_64' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI.";
    InsufficientInstanceCapacity(String, String) = "InsufficientInstanceCapacity",
        "We currently do not have sufficient {0} capacity in the Availability Zone you requested ({1}).";
    UserDataMalformed = "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.";
    BlockDeviceMapping(String) = "InvalidBlockDeviceMapping", "{0}";
    ProfileAssociationNotFound(String) = "InvalidAssociationID.NotFound",
        "An invalid association-id of '{0}' was given";

    // Key pairs.
    KeyPairNotFound(String) = "InvalidKeyPair.NotFound", "The key pair '{0}' does not exist";
    KeyPairIdNotFound(String) = "InvalidKeyPair.NotFound",
        "The key pair ID '{0}' does not exist";
    KeyPairIdMalformed(String) = "InvalidParameterValue",
        "The key pair ID '{0}' is malformed";
    KeyPairDuplicate(String) = "InvalidKeyPair.Duplicate", "The keypair already exists: {0}";
    KeyFormat = "InvalidKey.Format", "Key is not in valid OpenSSH public key format";

    // Images, volumes and snapshots.
    ImageNotFound(String) = "InvalidAMIID.NotFound", "The image id '[{0}]' does not exist";
    ImageIdMalformed(String) = "InvalidAMIID.Malformed",
        "Invalid id: \"{0}\" (expecting \"ami-...\")";
    ImageUnavailable(String) = "InvalidAMIID.Unavailable",
        "The image ID '{0}' is not available";
    ImageNameDuplicate(String, String) = "InvalidAMIName.Duplicate",
        "AMI name {0} is already in use by AMI {1}";
    ImageNameMalformed = "InvalidAMIName.Malformed",
        "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'";
    AttributeValue(String) = "InvalidAMIAttributeItemValue", "{0}";
    VolumeNotFound(String) = "InvalidVolume.NotFound", "The volume '{0}' does not exist.";
    SnapshotNotFound(String) = "InvalidSnapshot.NotFound",
        "The snapshot '{0}' does not exist.";

    // Launch templates.
    LaunchTemplateNameExists = "InvalidLaunchTemplateName.AlreadyExistsException",
        "Launch template name already in use.";
    LaunchTemplateNameMalformed = "InvalidLaunchTemplateName.MalformedException",
        "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: - ( ) . / _.";
    LaunchTemplateNameNotFound(String) = "InvalidLaunchTemplateName.NotFoundException",
        "The specified launch template, with template name {0}, does not exist.";
    LaunchTemplateIdNotFound(String) = "InvalidLaunchTemplateId.NotFound",
        "The specified launch template, with template ID {0}, does not exist.";
    LaunchTemplateIdMalformed(String) = "InvalidLaunchTemplateId.Malformed",
        "The specified launch template ID {0} is malformed.";
    LaunchTemplateVersionNotFound(String) = "InvalidLaunchTemplateId.VersionNotFound",
        "Could not find launch template version {0}.";
    LaunchTemplateVersionLimit = "LaunchTemplateVersionLimitExceeded",
        "The maximum number of versions of the launch template has been reached.";
}

impl From<UnknownFilter> for Error {
    fn from(unknown: UnknownFilter) -> Self {
        Self::InvalidParameterValue(unknown.to_string())
    }
}

impl From<kernel::paging::InvalidToken> for Error {
    fn from(_: kernel::paging::InvalidToken) -> Self {
        Self::InvalidPaginationToken
    }
}

impl From<TagError> for Error {
    fn from(broken: TagError) -> Self {
        match broken {
            TagError::TooMany => Self::TagLimitExceeded,
            TagError::Key | TagError::Value | TagError::Reserved => {
                Self::InvalidParameterValue(broken.to_string())
            }
        }
    }
}

impl Error {
    /// The parameter `name` is missing.
    pub(crate) fn missing(name: &str) -> Self {
        Self::MissingParameter(name.to_owned())
    }

    /// The value of a parameter is not possible.
    pub(crate) fn value(text: impl Into<String>) -> Self {
        Self::InvalidParameterValue(text.into())
    }
}

/// Refuses members of a request that ask for what this region does not have.
pub(crate) fn refuse(members: &[(&str, bool)]) -> Result<()> {
    match members.iter().find(|(_, present)| *present) {
        Some((name, _)) => {
            Err(Error::Unsupported(format!("The parameter {name} is not supported by this region")))
        }
        None => Ok(()),
    }
}
