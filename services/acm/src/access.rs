//! What each operation is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS
//! Certificate Manager".

use kernel::Access;
use kernel::access::Need;

const CERTIFICATE: &[&str] = &["{CertificateArn}"];
const RESOURCE: &[&str] = &["{ResourceArn}"];
const NEW: &[&str] = &["arn:aws:acm:{region}:{account}:certificate/*"];

macro_rules! rules {
    ($($operation:literal on $resources:expr),* $(,)?) => {
        &[
            Access::new("RequestCertificate", &[Need::on("acm:RequestCertificate", NEW).keys(&[
                ("acm:CertificateAuthority", "CertificateAuthorityArn"),
                (
                    "acm:CertificateTransparencyLogging",
                    "Options.CertificateTransparencyLoggingPreference",
                ),
                ("acm:DomainNames", "DomainName"),
                ("acm:DomainNames", "SubjectAlternativeNames"),
                ("acm:Export", "Options.Export"),
                ("acm:KeyAlgorithm", "KeyAlgorithm"),
                ("acm:ValidationMethod", "ValidationMethod"),
            ])]),
            $(Access::new($operation, &[Need::on(concat!("acm:", $operation), $resources)]),)*
        ]
    };
}

pub(crate) const RULES: &[Access] = rules!(
    "ImportCertificate" on CERTIFICATE,
    "ExportCertificate" on CERTIFICATE,
    "GetCertificate" on CERTIFICATE,
    "DescribeCertificate" on CERTIFICATE,
    "ListCertificates" on &[],
    "DeleteCertificate" on CERTIFICATE,
    "RevokeCertificate" on CERTIFICATE,
    "RenewCertificate" on CERTIFICATE,
    "UpdateCertificateOptions" on CERTIFICATE,
    "ResendValidationEmail" on CERTIFICATE,
    "GetAccountConfiguration" on &[],
    "PutAccountConfiguration" on &[],
    "AddTagsToCertificate" on CERTIFICATE,
    "RemoveTagsFromCertificate" on CERTIFICATE,
    "ListTagsForCertificate" on CERTIFICATE,
    "TagResource" on RESOURCE,
    "UntagResource" on RESOURCE,
    "ListTagsForResource" on RESOURCE,
);
