//! Certificates: requested, imported, renewed, exported, deleted.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acm::{Authority, Drivers, Resolver};
use acm_api::*;
use async_trait::async_trait;
use bytes::Bytes;
use kernel::certificates;
use kernel::cipher::Cipher;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use testkit::{Cloud, TestClient, poll};

/// Records that the test publishes.
#[derive(Default)]
struct Records(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Resolver for Records {
    async fn cname(&self, name: &str) -> Option<String> {
        let found = self.0.lock().unwrap().get(name).cloned();
        found.map(|value| value.trim_end_matches('.').to_owned())
    }

    fn asks(&self) -> bool {
        true
    }
}

struct Counting(Mutex<u8>);

impl base::Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let mut next = self.0.lock().unwrap();
        for byte in bytes {
            *next = next.wrapping_mul(5).wrapping_add(3);
            *byte = *next;
        }
    }
}

struct Region {
    cloud: Cloud,
    records: Arc<Records>,
    cipher: Cipher,
    root: TestClient,
}

const DAY: Duration = Duration::from_secs(86_400);

async fn start() -> Region {
    let records = Arc::new(Records::default());
    let cipher = Cipher::new([9; 32], Arc::new(Counting(Mutex::new(1))));
    let drivers = Drivers {
        cipher: cipher.clone(),
        authority: Arc::new(Authority::make().unwrap().0),
        resolver: records.clone(),
    };
    let cloud = Cloud::start(vec![acm::service(drivers).into()]).await;
    let root = cloud.root();
    Region { cloud, records, cipher, root }
}

fn wanted(domain: &str) -> RequestCertificateInput {
    RequestCertificateInput {
        domain_name: domain.to_owned(),
        validation_method: Some(ValidationMethod::Dns),
        // An elliptic key is made sooner than one of RSA.
        key_algorithm: Some(KeyAlgorithm::EcPrime256v1),
        ..Default::default()
    }
}

impl Region {
    async fn request(&self, input: RequestCertificateInput) -> String {
        self.root.call(input).await.unwrap().certificate_arn.unwrap()
    }

    async fn describe(&self, arn: &str) -> CertificateDetail {
        let input = DescribeCertificateInput { certificate_arn: arn.to_owned() };
        self.root.call(input).await.unwrap().certificate.unwrap()
    }

    /// Publishes the records that prove a certificate's domains.
    async fn publish(&self, arn: &str) {
        for option in self.describe(arn).await.domain_validation_options {
            let record = option.resource_record.unwrap();
            assert_eq!(record.type_, RecordType::Cname);
            self.records.0.lock().unwrap().insert(record.name, record.value);
        }
    }

    async fn until(&self, arn: &str, status: CertificateStatus) -> CertificateDetail {
        poll::until("the status", || async {
            let found = self.describe(arn).await;
            (found.status == Some(status)).then_some(found)
        })
        .await
    }

    async fn issued(&self, input: RequestCertificateInput) -> String {
        let arn = self.request(input).await;
        self.publish(&arn).await;
        self.until(&arn, CertificateStatus::Issued).await;
        arn
    }

    /// Has a load balancer serve a certificate, or serve it no more.
    async fn serve(&self, arn: &str, serves: bool) {
        let kernel = &self.cloud.kernel;
        let scope = store::Scope::new(kernel.settings().account.clone(), kernel.region().clone());
        let store = kernel.store().scoped(scope);
        let done = store.write(|tx| {
            if serves {
                certificates::hold(tx, arn, "listener", "load-balancer")
            } else {
                certificates::release(tx, arn, "listener")
            }
        });
        done.await.unwrap();
    }

    async fn code<I: protocol::OperationInput>(&self, input: I) -> String {
        self.root.call(input).await.err().map(|error| error.code).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_certificate_is_issued_once_its_records_are_found() {
    let region = start().await;
    let names = ["*.www.example.com", "WWW.example.com", "api.example.com"];
    let input = RequestCertificateInput {
        subject_alternative_names: names.map(str::to_owned).to_vec(),
        tags: vec![Tag { key: "team".to_owned(), value: Some("web".to_owned()) }],
        ..wanted("www.example.com")
    };
    let arn = region.request(input).await;
    let pending = region.describe(&arn).await;
    assert_eq!(pending.status, Some(CertificateStatus::PendingValidation));
    let all = ["www.example.com", "*.www.example.com", "api.example.com"];
    assert_eq!(pending.subject_alternative_names, all);
    let options = &pending.domain_validation_options;
    assert_eq!(options[0].validation_status, Some(DomainStatus::PendingValidation));
    assert_eq!(options[0].resource_record, options[1].resource_record);
    let get = GetCertificateInput { certificate_arn: arn.clone() };
    assert_eq!(region.code(get.clone()).await, "RequestInProgressException");
    region.publish(&arn).await;
    let issued = region.until(&arn, CertificateStatus::Issued).await;
    assert_eq!(issued.type_, Some(CertificateType::AmazonIssued));
    assert_eq!(issued.subject.as_deref(), Some("CN=www.example.com"));
    assert_eq!(issued.renewal_eligibility, Some(RenewalEligibility::Ineligible));
    assert_eq!(issued.serial.unwrap().split(':').count(), 16);
    let valid = issued.not_after.unwrap().since(issued.not_before.unwrap());
    assert_eq!(valid.as_secs() + 1, 198 * 86_400);
    assert!(issued.extended_key_usages[0].oid.as_deref() == Some("1.3.6.1.5.5.7.3.1"));
    let output = region.root.call(get).await.unwrap();
    assert!(output.certificate.unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(output.certificate_chain.unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let tags = ListTagsForCertificateInput { certificate_arn: arn };
    assert_eq!(region.root.call(tags).await.unwrap().tags[0].key, "team");
}

#[tokio::test]
async fn an_rsa_key_is_the_default() {
    let region = start().await;
    let arn = region.issued(RequestCertificateInput { key_algorithm: None, ..wanted("a.example") });
    let found = region.describe(&arn.await).await;
    assert_eq!(found.key_algorithm, Some(KeyAlgorithm::Rsa2048));
    let usages: Vec<_> = found.key_usages.iter().map(|it| it.name.unwrap()).collect();
    assert_eq!(usages, [KeyUsageName::DigitalSignature, KeyUsageName::KeyEncipherment]);
}

#[tokio::test]
async fn a_token_makes_a_request_the_same_one_for_an_hour() {
    let region = start().await;
    let input = RequestCertificateInput {
        idempotency_token: Some("once".to_owned()),
        ..wanted("a.example")
    };
    let first = region.request(input.clone()).await;
    assert_eq!(region.request(input.clone()).await, first);
    region.cloud.advance(Duration::from_secs(3601));
    assert_ne!(region.request(input).await, first);
}

#[tokio::test]
async fn validation_ends_after_three_days_and_aws_own_domains_fail_at_once() {
    let region = start().await;
    let arn = region.request(wanted("late.example")).await;
    let own = region.request(wanted("web.ap-northeast-2.elb.amazonaws.com")).await;
    let failed = region.describe(&own).await;
    assert_eq!(failed.status, Some(CertificateStatus::Failed));
    assert_eq!(failed.failure_reason, Some(FailureReason::DomainNotAllowed));
    region.cloud.advance(DAY * 3);
    region.until(&arn, CertificateStatus::ValidationTimedOut).await;
}

#[tokio::test]
async fn a_used_certificate_is_renewed_under_its_arn_and_an_unused_one_expires() {
    let region = start().await;
    let used = region.issued(wanted("used.example")).await;
    let unused = region.issued(wanted("unused.example")).await;
    region.serve(&used, true).await;
    let first = region.describe(&used).await;
    assert_eq!(first.renewal_eligibility, Some(RenewalEligibility::Eligible));
    assert_eq!(first.in_use_by, ["load-balancer"]);
    region.cloud.advance(DAY * 154);
    let renewed = poll::until("a renewal", || async {
        let found = region.describe(&used).await;
        (found.serial != first.serial).then_some(found)
    })
    .await;
    assert_eq!(renewed.renewal_summary.unwrap().renewal_status, RenewalStatus::Success);
    assert!(renewed.not_after.unwrap() > first.not_after.unwrap());
    region.cloud.advance(DAY * 45);
    region.until(&unused, CertificateStatus::Expired).await;
    region.until(&used, CertificateStatus::Issued).await;
}

#[tokio::test]
async fn a_renewal_waits_for_records_that_are_gone() {
    let region = start().await;
    let arn = region.issued(wanted("a.example")).await;
    region.serve(&arn, true).await;
    region.records.0.lock().unwrap().clear();
    region.cloud.advance(DAY * 154);
    poll::until("a pending renewal", || async {
        let summary = region.describe(&arn).await.renewal_summary?;
        (summary.renewal_status == RenewalStatus::PendingValidation).then_some(())
    })
    .await;
    region.cloud.advance(DAY * 45);
    region.cloud.kernel.wake("acm.certificates");
    region.until(&arn, CertificateStatus::Expired).await;
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted() {
    let region = start().await;
    let arn = region.issued(wanted("a.example")).await;
    region.serve(&arn, true).await;
    let delete = DeleteCertificateInput { certificate_arn: arn.clone() };
    assert_eq!(region.code(delete.clone()).await, "ResourceInUseException");
    region.serve(&arn, false).await;
    region.root.call(delete.clone()).await.unwrap();
    assert_eq!(region.code(delete).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn keys_leave_encrypted_and_lie_sealed() {
    let region = start().await;
    let options =
        Some(CertificateOptions { export: Some(CertificateExport::Enabled), ..Default::default() });
    let arn = region.issued(RequestCertificateInput { options, ..wanted("a.example") }).await;
    let export = |passphrase: &'static str| ExportCertificateInput {
        certificate_arn: arn.clone(),
        passphrase: Bytes::from_static(passphrase.as_bytes()),
    };
    assert_eq!(region.code(export("a#bcd")).await, "ValidationException");
    let output = region.root.call(export("correct horse")).await.unwrap();
    let key = output.private_key.unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{key}");
    let summary = region.root.call(ListCertificatesInput {
        includes: Some(Filters {
            key_types: vec![KeyAlgorithm::EcPrime256v1],
            export_option: Some(CertificateExport::Enabled),
            ..Default::default()
        }),
        ..Default::default()
    });
    let summary = summary.await.unwrap().certificate_summary_list.remove(0);
    assert_eq!((summary.exported, summary.in_use), (Some(true), Some(false)));
    let plain = region.issued(wanted("plain.example")).await;
    let refused = ExportCertificateInput { certificate_arn: plain, ..export("correct horse") };
    assert_eq!(region.code(refused).await, "ValidationException");
    let revoke = RevokeCertificateInput {
        certificate_arn: arn.clone(),
        revocation_reason: RevocationReason::KeyCompromise,
    };
    region.root.call(revoke.clone()).await.unwrap();
    let revoked = region.describe(&arn).await;
    assert_eq!(revoked.status, Some(CertificateStatus::Revoked));
    assert_eq!(revoked.revocation_reason, Some(RevocationReason::KeyCompromise));
    assert_eq!(region.code(revoke).await, "ConflictException");
    // What others serve can be opened with the region's key alone, and nowhere lies in clear.
    let kernel = &region.cloud.kernel;
    let rows = kernel.store().read(|tx| tx.scan_all(&certificates::CERTIFICATES)).await.unwrap();
    let (_, row) = rows.iter().find(|(_, row)| row.material.is_some()).unwrap();
    let opened = row.material.as_ref().unwrap().key(&region.cipher, &row.arn).unwrap();
    assert!(opened.starts_with("-----BEGIN PRIVATE KEY-----"));
    for file in files(region.cloud.folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(18).any(|some| some == b"BEGIN PRIVATE KEY-");
        assert!(!found, "{}", file.display());
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A certificate of somebody else's for `name`, with its key and issuer.
fn foreign(name: &str) -> ImportCertificateInput {
    let (issuer_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut issuer = CertificateParams::new(Vec::new()).unwrap();
    issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    issuer.distinguished_name.push(rcgen::DnType::CommonName, "Elsewhere");
    let chain = issuer.self_signed(&issuer_key).unwrap().pem();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let issuer = rcgen::Issuer::new(issuer, issuer_key);
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    ImportCertificateInput {
        certificate_arn: None,
        certificate: Bytes::from(certificate),
        private_key: Bytes::from(key.serialize_pem()),
        certificate_chain: Some(Bytes::from(chain)),
        tags: Vec::new(),
    }
}

#[tokio::test]
async fn certificates_of_others_are_taken_in_and_replaced() {
    let region = start().await;
    let arn = region.root.call(foreign("own.example")).await.unwrap().certificate_arn.unwrap();
    let found = region.describe(&arn).await;
    assert_eq!(found.type_, Some(CertificateType::Imported));
    assert_eq!(found.domain_name.as_deref(), Some("own.example"));
    assert_eq!(found.renewal_eligibility, Some(RenewalEligibility::Ineligible));
    assert!(found.imported_at.is_some() && found.created_at.is_none());
    let again =
        ImportCertificateInput { certificate_arn: Some(arn.clone()), ..foreign("own.example") };
    let output = region.root.call(again.clone()).await.unwrap();
    assert_eq!(output.certificate_arn.as_ref(), Some(&arn));
    assert_ne!(region.describe(&arn).await.serial, found.serial);
    let tagged = ImportCertificateInput {
        tags: vec![Tag { key: "a".to_owned(), value: None }],
        ..again.clone()
    };
    assert_eq!(region.code(tagged).await, "InvalidParameterException");
    let other =
        ImportCertificateInput { certificate_arn: Some(arn.clone()), ..foreign("other.example") };
    assert_eq!(region.code(other).await, "ValidationException");
    let export =
        ExportCertificateInput { certificate_arn: arn, passphrase: Bytes::from_static(b"abcd") };
    assert_eq!(region.code(export).await, "ValidationException");
    let requested = region.issued(wanted("a.example")).await;
    let over = ImportCertificateInput { certificate_arn: Some(requested), ..foreign("a.example") };
    assert_eq!(region.code(over).await, "ValidationException");
}

#[tokio::test]
async fn what_does_not_fit_together_is_not_imported() {
    let region = start().await;
    let (one, two) = (foreign("one.example"), foreign("two.example"));
    let message = |input: ImportCertificateInput| {
        let root = region.root.clone();
        async move { root.call(input).await.unwrap_err().message }
    };
    let keys = ImportCertificateInput { private_key: two.private_key.clone(), ..one.clone() };
    assert!(message(keys).await.starts_with("The private key is not matching"));
    let garbage = ImportCertificateInput { certificate: Bytes::from_static(b"x"), ..one.clone() };
    assert!(message(garbage).await.contains("not in PEM format"));
    let twice = [&one.certificate[..], &two.certificate[..]].concat();
    let twice = ImportCertificateInput { certificate: Bytes::from(twice), ..one.clone() };
    assert!(message(twice).await.contains("more than one certificate"));
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let own = CertificateParams::new(vec!["rsa.example".to_owned()]).unwrap();
    let own = own.self_signed(&rsa).unwrap().pem();
    let chained = ImportCertificateInput {
        certificate: Bytes::from(own.clone()),
        private_key: Bytes::from(rsa.serialize_pem()),
        ..one.clone()
    };
    assert!(message(chained.clone()).await.starts_with("Could not validate"));
    let alone = ImportCertificateInput { certificate_chain: None, ..chained };
    region.root.call(alone).await.unwrap();
    let listed = region.root.call(ListCertificatesInput::default()).await.unwrap();
    assert_eq!(listed.certificate_summary_list.len(), 1, "elliptic keys are not listed by default");
    region.cloud.advance(DAY * 366 * 3000);
    assert_eq!(message(one).await, "The certificate is expired.");
}

#[tokio::test]
async fn requests_that_cannot_be_met_are_refused() {
    let region = start().await;
    let code = |input: RequestCertificateInput| {
        let root = region.root.clone();
        async move { root.call(input).await.unwrap_err().code }
    };
    for method in [None, Some(ValidationMethod::Email), Some(ValidationMethod::Http)] {
        let input = RequestCertificateInput { validation_method: method, ..wanted("a.example") };
        assert_eq!(code(input).await, "InvalidParameterException", "{method:?}");
    }
    let private = RequestCertificateInput {
        certificate_authority_arn: Some(format!(
            "arn:aws:acm-pca:ap-northeast-2:{}:certificate-authority/{}",
            testkit::ACCOUNT,
            "01234567-89ab-cdef-0123-456789abcdef"
        )),
        ..wanted("a.example")
    };
    assert_eq!(code(private).await, "InvalidArnException");
    let many = RequestCertificateInput {
        subject_alternative_names: (0..10).map(|n| format!("n{n}.example")).collect(),
        ..wanted("a.example")
    };
    assert_eq!(code(many).await, "LimitExceededException");
    let big = RequestCertificateInput {
        key_algorithm: Some(KeyAlgorithm::Rsa4096),
        ..wanted("a.example")
    };
    assert_eq!(code(big).await, "InvalidParameterException");
    let options = vec![DomainValidationOption {
        domain_name: "a.example".to_owned(),
        validation_domain: "b.example".to_owned(),
    }];
    let input =
        RequestCertificateInput { domain_validation_options: options, ..wanted("a.example") };
    assert_eq!(code(input).await, "InvalidDomainValidationOptionsException");
    let input = RequestCertificateInput {
        tags: vec![Tag { key: "aws:x".to_owned(), value: None }],
        ..wanted("a.example")
    };
    assert!(["InvalidTagException", "ValidationException"].contains(&code(input).await.as_str()));
    let arn = region.request(wanted("a.example")).await;
    let renew = RenewCertificateInput { certificate_arn: arn.clone() };
    assert_eq!(region.code(renew).await, "RequestInProgressException");
    let resend = ResendValidationEmailInput {
        certificate_arn: arn.clone(),
        domain: "a.example".to_owned(),
        validation_domain: "a.example".to_owned(),
    };
    assert_eq!(region.code(resend).await, "InvalidStateException");
    let update = UpdateCertificateOptionsInput {
        certificate_arn: arn.clone(),
        options: CertificateOptions::default(),
    };
    assert_eq!(region.code(update).await, "InvalidStateException");
    let revoke = RevokeCertificateInput {
        certificate_arn: arn.clone(),
        revocation_reason: RevocationReason::Unspecified,
    };
    assert_eq!(region.code(revoke).await, "ValidationException");
    let missing = DescribeCertificateInput { certificate_arn: format!("{arn}0") };
    assert!(
        ["ResourceNotFoundException", "ValidationException"]
            .contains(&region.code(missing).await.as_str())
    );
    let wrong = DescribeCertificateInput { certificate_arn: arn.replace(":acm:", ":iam:") };
    assert!(
        ["InvalidArnException", "ValidationException"].contains(&region.code(wrong).await.as_str())
    );
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let region = start().await;
    for number in 0..5 {
        region.request(wanted(&format!("n{number}.example"))).await;
        region.cloud.advance(Duration::from_secs(1));
    }
    let elliptic = Filters { key_types: vec![KeyAlgorithm::EcPrime256v1], ..Default::default() };
    let input = ListCertificatesInput {
        includes: Some(elliptic),
        max_items: Some(2),
        sort_by: Some(SortBy::CreatedAt),
        sort_order: Some(SortOrder::Descending),
        ..Default::default()
    };
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let page = ListCertificatesInput { next_token: token, ..input.clone() };
        let page = region.root.call(page).await.unwrap();
        assert!(page.certificate_summary_list.len() <= 2);
        seen.extend(page.certificate_summary_list.into_iter().filter_map(|it| it.domain_name));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["n4.example", "n3.example", "n2.example", "n1.example", "n0.example"]);
    let issued = ListCertificatesInput {
        certificate_statuses: vec![CertificateStatus::Issued],
        ..input.clone()
    };
    assert!(region.root.call(issued).await.unwrap().certificate_summary_list.is_empty());
    let half = ListCertificatesInput { sort_order: None, ..input.clone() };
    assert_eq!(region.code(half).await, "ValidationException");
    let bad = ListCertificatesInput { next_token: Some("bad".to_owned()), ..input };
    assert_eq!(region.code(bad).await, "InvalidArgsException");
}

#[tokio::test]
async fn tags_and_settings_are_kept() {
    let region = start().await;
    let arn = region.request(wanted("a.example")).await;
    let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: Some(value.to_owned()) };
    let add = AddTagsToCertificateInput {
        certificate_arn: arn.clone(),
        tags: vec![tag("a", "1"), tag("b", "2")],
    };
    region.root.call(add).await.unwrap();
    // A tag whose value is another one stays.
    let remove = RemoveTagsFromCertificateInput {
        certificate_arn: arn.clone(),
        tags: vec![tag("a", "other"), Tag { key: "b".to_owned(), value: None }],
    };
    region.root.call(remove).await.unwrap();
    let more = TagResourceInput { resource_arn: arn.clone(), tags: vec![tag("c", "3")] };
    region.root.call(more).await.unwrap();
    let list = ListTagsForResourceInput { resource_arn: arn.clone() };
    let tags = region.root.call(list.clone()).await.unwrap().tags;
    assert_eq!(tags, [tag("a", "1"), tag("c", "3")]);
    let remove = UntagResourceInput { resource_arn: arn, tag_keys: vec!["a".to_owned()] };
    region.root.call(remove).await.unwrap();
    assert_eq!(region.root.call(list).await.unwrap().tags, [tag("c", "3")]);

    let days = |output: GetAccountConfigurationOutput| output.expiry_events?.days_before_expiry;
    let get = GetAccountConfigurationInput {};
    assert_eq!(days(region.root.call(get.clone()).await.unwrap()), Some(45));
    let put = |days: i32, token: &str| PutAccountConfigurationInput {
        expiry_events: Some(ExpiryEventsConfiguration { days_before_expiry: Some(days) }),
        idempotency_token: token.to_owned(),
    };
    region.root.call(put(30, "one")).await.unwrap();
    assert_eq!(days(region.root.call(get).await.unwrap()), Some(30));
    assert_eq!(region.code(put(20, "one")).await, "ConflictException");
    assert_eq!(region.code(put(90, "two")).await, "ValidationException");
}

#[tokio::test]
async fn nobody_may_do_anything() {
    let region = start().await;
    let nobody = region.cloud.nobody();
    let arn = region.request(wanted("a.example")).await;
    macro_rules! denied {
        ($($input:expr),+ $(,)?) => {$(
            assert_eq!(nobody.call($input).await.unwrap_err().code, "AccessDeniedException");
        )+};
    }
    let certificate_arn = arn.clone();
    denied!(
        wanted("b.example"),
        foreign("c.example"),
        DescribeCertificateInput { certificate_arn: arn.clone() },
        GetCertificateInput { certificate_arn: arn.clone() },
        DeleteCertificateInput { certificate_arn: arn.clone() },
        RenewCertificateInput { certificate_arn: arn.clone() },
        ListTagsForCertificateInput { certificate_arn: arn.clone() },
        ListTagsForResourceInput { resource_arn: arn.clone() },
        ListCertificatesInput::default(),
        GetAccountConfigurationInput {},
        PutAccountConfigurationInput { expiry_events: None, idempotency_token: "t".to_owned() },
        UpdateCertificateOptionsInput {
            certificate_arn: arn.clone(),
            options: CertificateOptions::default(),
        },
        ExportCertificateInput { certificate_arn, passphrase: Bytes::from_static(b"abcd") },
        TagResourceInput {
            resource_arn: arn.clone(),
            tags: vec![Tag { key: "a".to_owned(), value: None }],
        },
        UntagResourceInput { resource_arn: arn.clone(), tag_keys: vec!["a".to_owned()] },
        AddTagsToCertificateInput {
            certificate_arn: arn.clone(),
            tags: vec![Tag { key: "a".to_owned(), value: None }],
        },
        RemoveTagsFromCertificateInput {
            certificate_arn: arn.clone(),
            tags: vec![Tag { key: "a".to_owned(), value: None }],
        },
        RevokeCertificateInput {
            certificate_arn: arn.clone(),
            revocation_reason: RevocationReason::Unspecified,
        },
        ResendValidationEmailInput {
            certificate_arn: arn.clone(),
            domain: "a.example".to_owned(),
            validation_domain: "a.example".to_owned(),
        },
    );
}
