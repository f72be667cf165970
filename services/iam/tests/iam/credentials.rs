//! MFA devices, passwords, certificates, keys, service credentials and the reports on them.

use std::time::Duration;

use base::Clock as _;
use iam_api::*;
use sts_api::{AssumeRoleInput, GetSessionTokenInput};

use crate::region::{Region, policy};

/// The code that a device with this seed shows at a time.
fn code(seed: &[u8], secs: i64) -> String {
    // RFC 4226 and 6238, written a second time.
    let text = std::str::from_utf8(seed).unwrap();
    let bits: String = text
        .chars()
        .map(|c| format!("{:05b}", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap()))
        .collect();
    let key: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = aws_lc_rs::hmac::sign(&key, &(secs / 30).to_be_bytes());
    let at = usize::from(tag.as_ref().last().unwrap() & 15);
    let part = tag.as_ref().get(at..at + 4).unwrap();
    let number = u32::from_be_bytes(part.try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

struct Device {
    serial: String,
    seed: Vec<u8>,
}

async fn device(region: &Region, user: &str) -> Device {
    let admin = region.admin();
    let made = admin
        .call(CreateVirtualMFADeviceInput {
            virtual_mfa_device_name: user.to_owned(),
            ..Default::default()
        })
        .await
        .unwrap()
        .virtual_mfa_device;
    let seed = made.base32_string_seed.unwrap().to_vec();
    let now = region.cloud.clock.now().as_secs();
    let enable = |first: String, second: String| EnableMFADeviceInput {
        user_name: user.to_owned(),
        serial_number: made.serial_number.clone(),
        authentication_code1: first,
        authentication_code2: second,
    };
    let same = enable(code(&seed, now), code(&seed, now));
    assert_eq!(admin.call(same).await.unwrap_err().code, "InvalidAuthenticationCode");
    admin.call(enable(code(&seed, now - 30), code(&seed, now))).await.unwrap();
    Device { serial: made.serial_number, seed }
}

const WITH_MFA: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}}]}"#;

#[tokio::test]
async fn a_code_makes_a_session_that_policies_take_for_a_second_factor() {
    let region = Region::start().await;
    let ann = region.user("ann", Some(WITH_MFA)).await;
    let device = device(&region, "ann").await;
    assert_eq!(ann.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    region.cloud.advance(Duration::from_secs(30));
    let now = region.cloud.clock.now().as_secs();
    let ask = |token: String| GetSessionTokenInput {
        serial_number: Some(device.serial.clone()),
        token_code: Some(token),
        ..Default::default()
    };
    let wrong = ann.call(ask("000000".to_owned())).await.unwrap_err();
    assert_eq!(wrong.code, "AccessDenied");
    let session = ann.call(ask(code(&device.seed, now))).await.unwrap().credentials.unwrap();
    // A code is good once.
    let again = ann.call(ask(code(&device.seed, now))).await.unwrap_err();
    assert_eq!(again.code, "AccessDenied");
    let token = Some(session.session_token.as_str());
    let strong = region.cloud.client(&session.access_key_id, &session.secret_access_key, token);
    strong.call(ListUsersInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(3601));
    assert_eq!(strong.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    // A session without a second factor has no way into IAM.
    let weak = ann.call(GetSessionTokenInput::default()).await.unwrap().credentials.unwrap();
    let token = Some(weak.session_token.as_str());
    let weak = region.cloud.client(&weak.access_key_id, &weak.secret_access_key, token);
    let refused = weak.call(ListUsersInput::default()).await.unwrap_err();
    assert_eq!(refused.code, "InvalidClientTokenId");
}

#[tokio::test]
async fn a_role_can_ask_for_a_code() {
    let region = Region::start().await;
    let admin = region.admin();
    let ann = region.user("ann", None).await;
    let device = device(&region, "ann").await;
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{}"}},"Action":"sts:AssumeRole","Condition":{{"Bool":{{"aws:MultiFactorAuthPresent":"true"}}}}}}]}}"#,
        region.arn("user/ann")
    );
    let role = CreateRoleInput {
        role_name: "careful".to_owned(),
        assume_role_policy_document: trust,
        ..Default::default()
    };
    admin.call(role).await.unwrap();
    let assume = |token: Option<String>| AssumeRoleInput {
        role_arn: region.arn("role/careful"),
        role_session_name: "session".to_owned(),
        serial_number: token.as_ref().map(|_| device.serial.clone()),
        token_code: token,
        ..Default::default()
    };
    assert_eq!(ann.call(assume(None)).await.unwrap_err().code, "AccessDenied");
    region.cloud.advance(Duration::from_secs(30));
    let shown = code(&device.seed, region.cloud.clock.now().as_secs());
    ann.call(assume(Some(shown))).await.unwrap();
}

#[tokio::test]
async fn devices_are_listed_synchronized_taken_away_and_tagged() {
    let region = Region::start().await;
    let admin = region.admin();
    region.user("ann", None).await;
    let device = device(&region, "ann").await;
    let serial = || device.serial.clone();
    let user = || Some("ann".to_owned());
    let own = ListMFADevicesInput { user_name: user(), ..Default::default() };
    let listed = admin.call(own.clone()).await.unwrap().mfa_devices;
    assert_eq!((listed.len(), &listed[0].serial_number), (1, &device.serial));
    let one = GetMFADeviceInput { serial_number: serial(), user_name: user() };
    assert_eq!(admin.call(one).await.unwrap().user_name, user());
    let all = admin.call(ListVirtualMFADevicesInput::default()).await.unwrap();
    assert_eq!(all.virtual_mfa_devices[0].user.as_ref().unwrap().user_name, "ann");
    let drop = DeleteVirtualMFADeviceInput { serial_number: serial() };
    assert_eq!(admin.call(drop.clone()).await.unwrap_err().code, "DeleteConflict");
    let delete = DeleteUserInput { user_name: "ann".to_owned() };
    assert_eq!(admin.call(delete).await.unwrap_err().code, "DeleteConflict");
    // The device's clock is an hour ahead.
    let ahead = region.cloud.clock.now().as_secs() + 3600;
    let resync = ResyncMFADeviceInput {
        user_name: "ann".to_owned(),
        serial_number: serial(),
        authentication_code1: code(&device.seed, ahead),
        authentication_code2: code(&device.seed, ahead + 30),
    };
    admin.call(resync).await.unwrap();
    let tags = vec![Tag { key: "k".to_owned(), value: "v".to_owned() }];
    let tag = TagMFADeviceInput { serial_number: serial(), tags: tags.clone() };
    admin.call(tag).await.unwrap();
    let list = ListMFADeviceTagsInput { serial_number: serial(), ..Default::default() };
    assert_eq!(admin.call(list.clone()).await.unwrap().tags, tags);
    let untag = UntagMFADeviceInput { serial_number: serial(), tag_keys: vec!["k".to_owned()] };
    admin.call(untag).await.unwrap();
    assert!(admin.call(list).await.unwrap().tags.is_empty());
    let away = DeactivateMFADeviceInput { user_name: user(), serial_number: serial() };
    admin.call(away).await.unwrap();
    assert!(admin.call(own).await.unwrap().mfa_devices.is_empty());
    admin.call(drop).await.unwrap();
}

#[tokio::test]
async fn passwords_follow_the_accounts_rules() {
    let region = Region::start().await;
    let admin = region.admin();
    let ann = region.user("ann", None).await;
    let create = |password: &str| CreateLoginProfileInput {
        user_name: Some("ann".to_owned()),
        password: Some(password.to_owned()),
        password_reset_required: Some(true),
    };
    let none = admin.call(GetAccountPasswordPolicyInput::default()).await.unwrap_err();
    assert_eq!(none.code, "NoSuchEntity");
    let rules = UpdateAccountPasswordPolicyInput {
        minimum_password_length: Some(12),
        require_symbols: Some(true),
        require_numbers: Some(true),
        password_reuse_prevention: Some(2),
        allow_users_to_change_password: Some(true),
        ..Default::default()
    };
    admin.call(rules).await.unwrap();
    let shown = admin.call(GetAccountPasswordPolicyInput::default()).await.unwrap();
    assert_eq!(shown.password_policy.minimum_password_length, Some(12));
    let weak = admin.call(create("Short-1")).await.unwrap_err();
    assert_eq!(weak.code, "PasswordPolicyViolation");
    admin.call(create("Correct-horse-1")).await.unwrap();
    let again = admin.call(create("Correct-horse-1")).await.unwrap_err();
    assert_eq!(again.code, "EntityAlreadyExists");
    let get = GetLoginProfileInput { user_name: Some("ann".to_owned()) };
    let profile = admin.call(get.clone()).await.unwrap().login_profile;
    assert_eq!(profile.password_reset_required, Some(true));
    let change = |old: &str, new: &str| ChangePasswordInput {
        old_password: old.to_owned(),
        new_password: new.to_owned(),
    };
    let wrong = ann.call(change("nonsense", "Correct-horse-2")).await.unwrap_err();
    assert_eq!(wrong.code, "AccessDenied");
    ann.call(change("Correct-horse-1", "Correct-horse-2")).await.unwrap();
    let reused = ann.call(change("Correct-horse-2", "Correct-horse-1")).await.unwrap_err();
    assert_eq!(reused.code, "PasswordPolicyViolation");
    ann.call(change("Correct-horse-2", "Correct-horse-3")).await.unwrap();
    ann.call(change("Correct-horse-3", "Correct-horse-1")).await.unwrap();
    assert_eq!(region.root().call(change("a", "b")).await.unwrap_err().code, "InvalidUserType");
    let update = UpdateLoginProfileInput {
        user_name: "ann".to_owned(),
        password: Some("Correct-horse-9".to_owned()),
        ..Default::default()
    };
    admin.call(update).await.unwrap();
    let delete = DeleteLoginProfileInput { user_name: Some("ann".to_owned()) };
    admin.call(delete).await.unwrap();
    assert_eq!(admin.call(get).await.unwrap_err().code, "NoSuchEntity");
    admin.call(DeleteAccountPasswordPolicyInput::default()).await.unwrap();
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["www.example.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
async fn server_certificates_are_kept_with_the_key_that_is_theirs() {
    let region = Region::start().await;
    let admin = region.admin();
    let (body, key) = certificate();
    let (_, other) = certificate();
    let upload = |name: &str, key: &str| UploadServerCertificateInput {
        server_certificate_name: name.to_owned(),
        certificate_body: body.clone(),
        private_key: key.to_owned(),
        ..Default::default()
    };
    assert_eq!(admin.call(upload("www", &other)).await.unwrap_err().code, "KeyPairMismatch");
    let malformed = UploadServerCertificateInput {
        certificate_body: "nonsense".to_owned(),
        ..upload("www", &key)
    };
    assert_eq!(admin.call(malformed).await.unwrap_err().code, "MalformedCertificate");
    let made = admin.call(upload("www", &key)).await.unwrap().server_certificate_metadata.unwrap();
    assert_eq!(made.arn, region.arn("server-certificate/www"));
    assert!(made.expiration.is_some());
    assert_eq!(admin.call(upload("WWW", &key)).await.unwrap_err().code, "EntityAlreadyExists");
    let get = |name: &str| GetServerCertificateInput { server_certificate_name: name.to_owned() };
    let shown = admin.call(get("www")).await.unwrap().server_certificate;
    assert_eq!(shown.certificate_body, body);
    let tags = vec![Tag { key: "k".to_owned(), value: "v".to_owned() }];
    let name = || "www".to_owned();
    let tag = TagServerCertificateInput { server_certificate_name: name(), tags: tags.clone() };
    admin.call(tag).await.unwrap();
    let list =
        ListServerCertificateTagsInput { server_certificate_name: name(), ..Default::default() };
    assert_eq!(admin.call(list).await.unwrap().tags, tags);
    let untag = UntagServerCertificateInput {
        server_certificate_name: name(),
        tag_keys: vec!["k".to_owned()],
    };
    admin.call(untag).await.unwrap();
    let rename = UpdateServerCertificateInput {
        server_certificate_name: name(),
        new_server_certificate_name: Some("web".to_owned()),
        ..Default::default()
    };
    admin.call(rename).await.unwrap();
    assert_eq!(admin.call(get("www")).await.unwrap_err().code, "NoSuchEntity");
    let all = admin.call(ListServerCertificatesInput::default()).await.unwrap();
    assert_eq!(all.server_certificate_metadata_list[0].server_certificate_name, "web");
    let delete = DeleteServerCertificateInput { server_certificate_name: "web".to_owned() };
    admin.call(delete).await.unwrap();
}

#[tokio::test]
async fn users_have_signing_certificates_and_service_credentials() {
    let region = Region::start().await;
    let admin = region.admin();
    region.user("ann", None).await;
    let user = || Some("ann".to_owned());
    let upload =
        |body: String| UploadSigningCertificateInput { user_name: user(), certificate_body: body };
    let (body, _) = certificate();
    let made = admin.call(upload(body.clone())).await.unwrap().certificate;
    let twice = admin.call(upload(body)).await.unwrap_err();
    assert_eq!(twice.code, "DuplicateCertificate");
    let bad = admin.call(upload("nonsense".to_owned())).await.unwrap_err();
    assert_eq!(bad.code, "MalformedCertificate");
    let off = UpdateSigningCertificateInput {
        user_name: user(),
        certificate_id: made.certificate_id.clone(),
        status: StatusType::Inactive,
    };
    admin.call(off).await.unwrap();
    let list = ListSigningCertificatesInput { user_name: user(), ..Default::default() };
    let listed = admin.call(list).await.unwrap().certificates;
    assert_eq!(listed[0].status, StatusType::Inactive);
    let delete =
        DeleteSigningCertificateInput { user_name: user(), certificate_id: made.certificate_id };
    admin.call(delete).await.unwrap();

    let create = |service: &str| CreateServiceSpecificCredentialInput {
        user_name: "ann".to_owned(),
        service_name: service.to_owned(),
        ..Default::default()
    };
    let unknown = admin.call(create("sqs.amazonaws.com")).await.unwrap_err();
    assert_eq!(unknown.code, "NotSupportedService");
    let made = admin.call(create("codecommit.amazonaws.com")).await.unwrap();
    let made = made.service_specific_credential.unwrap();
    let name = made.service_user_name.unwrap();
    assert_eq!(name, format!("ann-at-{}", region.account()));
    admin.call(create("codecommit.amazonaws.com")).await.unwrap();
    let third = admin.call(create("codecommit.amazonaws.com")).await.unwrap_err();
    assert_eq!(third.code, "LimitExceeded");
    let id = || made.service_specific_credential_id.clone();
    let reset = ResetServiceSpecificCredentialInput {
        user_name: user(),
        service_specific_credential_id: id(),
    };
    let fresh = admin.call(reset).await.unwrap().service_specific_credential.unwrap();
    assert_ne!(fresh.service_password, made.service_password);
    let off = UpdateServiceSpecificCredentialInput {
        user_name: user(),
        service_specific_credential_id: id(),
        status: StatusType::Inactive,
    };
    admin.call(off).await.unwrap();
    let list = ListServiceSpecificCredentialsInput { user_name: user(), ..Default::default() };
    assert_eq!(admin.call(list).await.unwrap().service_specific_credentials.len(), 2);
    let delete = DeleteServiceSpecificCredentialInput {
        user_name: user(),
        service_specific_credential_id: id(),
    };
    admin.call(delete).await.unwrap();
}

fn ssh_key() -> String {
    use base64::Engine as _;
    let field = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [length.as_slice(), bytes].concat()
    };
    let modulus: Vec<u8> =
        [0, 0xc5].into_iter().chain((0..255u8).map(|n| n.wrapping_mul(37) | 1)).collect();
    let blob = [field(b"ssh-rsa"), field(&[1, 0, 1]), field(&modulus)].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(blob);
    format!("ssh-rsa {text} ann@example.com")
}

#[tokio::test]
async fn users_have_ssh_keys() {
    let region = Region::start().await;
    let admin = region.admin();
    region.user("ann", None).await;
    let upload = |body: &str| UploadSSHPublicKeyInput {
        user_name: "ann".to_owned(),
        ssh_public_key_body: body.to_owned(),
    };
    let bad = admin.call(upload("ssh-ed25519 AAAA")).await.unwrap_err();
    assert_eq!(bad.code, "InvalidPublicKey");
    let made = admin.call(upload(&ssh_key())).await.unwrap().ssh_public_key.unwrap();
    assert_eq!(made.fingerprint.len(), 47);
    let twice = admin.call(upload(&ssh_key())).await.unwrap_err();
    assert_eq!(twice.code, "DuplicateSSHPublicKey");
    let get = |encoding| GetSSHPublicKeyInput {
        user_name: "ann".to_owned(),
        ssh_public_key_id: made.ssh_public_key_id.clone(),
        encoding,
    };
    let shown = admin.call(get(EncodingType::Ssh)).await.unwrap().ssh_public_key.unwrap();
    assert_eq!(shown.ssh_public_key_body, ssh_key());
    let off = UpdateSSHPublicKeyInput {
        user_name: "ann".to_owned(),
        ssh_public_key_id: made.ssh_public_key_id.clone(),
        status: StatusType::Inactive,
    };
    admin.call(off).await.unwrap();
    let list = ListSSHPublicKeysInput { user_name: Some("ann".to_owned()), ..Default::default() };
    let listed = admin.call(list).await.unwrap().ssh_public_keys;
    assert_eq!(listed[0].status, StatusType::Inactive);
    let delete = DeleteSSHPublicKeyInput {
        user_name: "ann".to_owned(),
        ssh_public_key_id: made.ssh_public_key_id.clone(),
    };
    admin.call(delete).await.unwrap();
}

#[tokio::test]
async fn the_credential_report_tells_of_every_user() {
    let region = Region::start().await;
    let admin = region.admin();
    region.user("ann", None).await;
    let none = admin.call(GetCredentialReportInput::default()).await.unwrap_err();
    assert_eq!(none.code, "ReportNotPresent");
    admin.call(GenerateCredentialReportInput::default()).await.unwrap();
    let report = admin.call(GetCredentialReportInput::default()).await.unwrap();
    let text = String::from_utf8(report.content.unwrap().to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.split(',').count() == 22), "{text}");
    assert!(lines[1].starts_with("<root_account>,"));
    region.cloud.advance(Duration::from_secs(4 * 3600));
    let old = admin.call(GetCredentialReportInput::default()).await.unwrap_err();
    assert_eq!(old.code, "ReportExpired");
}

#[tokio::test]
async fn last_accesses_are_told_by_service_and_by_entity() {
    let region = Region::start().await;
    let admin = region.admin();
    let ann = region.user("ann", Some(&policy("Allow", "iam:List*", "*"))).await;
    ann.call(ListUsersInput::default()).await.unwrap();
    let generate = GenerateServiceLastAccessedDetailsInput {
        arn: region.arn("user/ann"),
        granularity: Some(AccessAdvisorUsageGranularityType::ActionLevel),
    };
    let job_id = admin.call(generate).await.unwrap().job_id.unwrap();
    let details = admin
        .call(GetServiceLastAccessedDetailsInput { job_id: job_id.clone(), ..Default::default() })
        .await
        .unwrap();
    let iam = &details.services_last_accessed[0];
    assert_eq!(iam.service_namespace, "iam");
    assert_eq!(iam.last_authenticated_entity.as_deref(), Some(&*region.arn("user/ann")));
    assert_eq!(iam.tracked_actions_last_accessed[0].action_name.as_deref(), Some("ListUsers"));
    let entities = admin
        .call(GetServiceLastAccessedDetailsWithEntitiesInput {
            job_id,
            service_namespace: "iam".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(entities.entity_details_list[0].entity_info.name, "ann");
    let granting = admin
        .call(ListPoliciesGrantingServiceAccessInput {
            arn: region.arn("user/ann"),
            service_namespaces: vec!["iam".to_owned(), "s3".to_owned()],
            ..Default::default()
        })
        .await
        .unwrap()
        .policies_granting_service_access;
    assert_eq!(granting[0].policies[0].policy_name, "may");
    assert!(granting[1].policies.is_empty());
}
