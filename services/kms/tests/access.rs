//! Who may use a key: its policy, grants, conditions, and the service it is for.

mod cloud;

use std::collections::BTreeMap;

use cloud::{code, make, start, symmetric};
use kms_api::{
    CreateAliasInput, CreateGrantInput, CreateKeyInput, DecryptInput, DeleteAliasInput,
    DescribeKeyInput, DisableKeyInput, EncryptInput, GetKeyPolicyInput, GrantConstraints,
    GrantOperation, ListAliasesInput, ListGrantsInput, ListKeyPoliciesInput, ListKeysInput,
    ListResourceTagsInput, ListRetirableGrantsInput, PutKeyPolicyInput, ReplicateKeyInput,
    RetireGrantInput, RevokeGrantInput, ScheduleKeyDeletionInput, Tag, TagResourceInput,
    UntagResourceInput, UpdateAliasInput, UpdateKeyDescriptionInput, UpdatePrimaryRegionInput,
};
use testkit::{ACCOUNT, REGION};

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#;

fn encrypt(key: &str, pairs: &[(&str, &str)]) -> EncryptInput {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    EncryptInput {
        key_id: key.to_owned(),
        plaintext: b"plain".to_vec().into(),
        encryption_context: pairs.iter().map(pair).collect(),
        ..EncryptInput::default()
    }
}

fn with_policy(statements: &str) -> CreateKeyInput {
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    CreateKeyInput { policy: Some(policy), ..CreateKeyInput::default() }
}

fn user(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{name}")
}

#[tokio::test]
async fn a_key_obeys_its_policy_before_the_accounts_own() {
    let cloud = start().await;
    let (root, alice) = (cloud.root(), cloud.user("alice", ALL));
    // The default policy hands the decision to the account.
    let key = make(&root, symmetric()).await;
    alice.call(encrypt(&key.key_id, &[])).await.unwrap();
    let nobody = cloud.nobody();
    assert_eq!(code(nobody.call(encrypt(&key.key_id, &[])).await), "AccessDeniedException");
    // A policy that names somebody lets nobody else in, the root user included.
    let only = format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{}"}},"Action":"kms:*","Resource":"*"}}"#,
        user("nobody")
    );
    let locked = root.call(with_policy(&only)).await;
    assert_eq!(code(locked), "MalformedPolicyDocumentException");
    let mut input = with_policy(&only);
    input.bypass_policy_lockout_safety_check = Some(true);
    let key = make(&root, input).await;
    nobody.call(encrypt(&key.key_id, &[])).await.unwrap();
    for other in [&root, &alice] {
        assert_eq!(code(other.call(encrypt(&key.key_id, &[])).await), "AccessDeniedException");
        let read = GetKeyPolicyInput { key_id: key.key_id.clone(), policy_name: None };
        assert_eq!(code(other.call(read).await), "AccessDeniedException");
    }
    // Who may change the policy lets others in.
    let both = format!(
        r#"{{"Version":"2012-10-17","Statement":[{only},{{"Effect":"Allow","Principal":
        {{"AWS":"arn:aws:iam::{ACCOUNT}:root"}},"Action":"kms:Encrypt","Resource":"*"}}]}}"#
    );
    let put = PutKeyPolicyInput {
        key_id: key.key_id.clone(),
        policy: both,
        ..PutKeyPolicyInput::default()
    };
    nobody.call(put.clone()).await.unwrap();
    root.call(encrypt(&key.key_id, &[])).await.unwrap();
    let bad = PutKeyPolicyInput { policy: "{}".to_owned(), ..put };
    assert_eq!(code(nobody.call(bad).await), "MalformedPolicyDocumentException");
    let list = ListKeyPoliciesInput { key_id: key.key_id, ..ListKeyPoliciesInput::default() };
    assert_eq!(nobody.call(list).await.unwrap().policy_names, ["default"]);
}

#[tokio::test]
async fn conditions_see_the_encryption_context_and_the_alias() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, symmetric()).await;
    for alias in ["alias/app", "alias/other"] {
        let target_key_id = key.key_id.clone();
        let input = CreateAliasInput { alias_name: alias.to_owned(), target_key_id };
        root.call(input).await.unwrap();
    }
    let document = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"kms:Encrypt",
            "Resource":"*","Condition":{condition}}}]}}"#
        )
    };
    let team = r#"{"StringEquals":{"kms:EncryptionContext:team":"a"}}"#;
    let alice = cloud.user("alice", &document(team));
    alice.call(encrypt(&key.key_id, &[("team", "a")])).await.unwrap();
    for context in [vec![], vec![("team", "b")], vec![("Other", "a")]] {
        let refused = alice.call(encrypt(&key.key_id, &context)).await;
        assert_eq!(code(refused), "AccessDeniedException", "{context:?}");
    }
    let alias = r#"{"StringEquals":{"kms:RequestAlias":"alias/app"}}"#;
    let bob = cloud.user("bob", &document(alias));
    bob.call(encrypt("alias/app", &[])).await.unwrap();
    for id in ["alias/other", key.key_id.as_str()] {
        assert_eq!(code(bob.call(encrypt(id, &[])).await), "AccessDeniedException");
    }
    let aliases = r#"{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app"}}"#;
    let carol = cloud.user("carol", &document(aliases));
    carol.call(encrypt(&key.key_id, &[])).await.unwrap();
    root.call(DeleteAliasInput { alias_name: "alias/app".to_owned() }).await.unwrap();
    assert_eq!(code(carol.call(encrypt(&key.key_id, &[])).await), "AccessDeniedException");
}

#[tokio::test]
async fn a_grant_lets_its_grantee_do_what_it_names_until_it_is_gone() {
    let cloud = start().await;
    let (root, nobody) = (cloud.root(), cloud.nobody());
    let key = make(&root, symmetric()).await;
    let id = || key.key_id.clone();
    let grant = CreateGrantInput {
        key_id: id(),
        grantee_principal: Some(user("nobody")),
        retiring_principal: Some(user("nobody")),
        operations: vec![GrantOperation::Encrypt, GrantOperation::Decrypt],
        constraints: Some(GrantConstraints {
            encryption_context_subset: BTreeMap::from([("team".into(), "a".into())]),
            ..GrantConstraints::default()
        }),
        name: Some("app".to_owned()),
        ..CreateGrantInput::default()
    };
    assert_eq!(code(nobody.call(grant.clone()).await), "AccessDeniedException");
    let made = root.call(grant.clone()).await.unwrap();
    let again = root.call(grant.clone()).await.unwrap();
    assert_eq!(made.grant_id, again.grant_id);
    let in_team = [("team", "a"), ("more", "b")];
    let blob = nobody.call(encrypt(&id(), &in_team)).await.unwrap().ciphertext_blob;
    assert_eq!(code(nobody.call(encrypt(&id(), &[])).await), "AccessDeniedException");
    let decrypt = DecryptInput {
        ciphertext_blob: blob,
        encryption_context: encrypt("", &in_team).encryption_context,
        grant_tokens: vec![made.grant_token.clone().unwrap()],
        ..DecryptInput::default()
    };
    nobody.call(decrypt.clone()).await.unwrap();
    let forged = DecryptInput { grant_tokens: vec!["AAAA".to_owned()], ..decrypt };
    assert_eq!(code(nobody.call(forged).await), "InvalidGrantTokenException");
    let describe = DescribeKeyInput { key_id: id(), ..DescribeKeyInput::default() };
    assert_eq!(code(nobody.call(describe).await), "AccessDeniedException");

    let list = ListGrantsInput { key_id: id(), ..ListGrantsInput::default() };
    assert_eq!(root.call(list.clone()).await.unwrap().grants.len(), 1);
    let retirable = ListRetirableGrantsInput {
        retiring_principal: Some(user("nobody")),
        ..ListRetirableGrantsInput::default()
    };
    assert_eq!(root.call(retirable).await.unwrap().grants.len(), 1);
    let retire = RetireGrantInput { grant_token: made.grant_token, ..RetireGrantInput::default() };
    nobody.call(retire).await.unwrap();
    assert_eq!(code(nobody.call(encrypt(&id(), &in_team)).await), "AccessDeniedException");

    let made = root.call(grant.clone()).await.unwrap();
    let revoke = RevokeGrantInput {
        key_id: id(),
        grant_id: made.grant_id.unwrap(),
        ..RevokeGrantInput::default()
    };
    assert_eq!(code(nobody.call(revoke.clone()).await), "AccessDeniedException");
    root.call(revoke.clone()).await.unwrap();
    assert_eq!(code(root.call(revoke).await), "NotFoundException");
    assert!(root.call(list).await.unwrap().grants.is_empty());
    let signs = CreateGrantInput { operations: vec![GrantOperation::Sign], ..grant.clone() };
    assert_eq!(code(root.call(signs).await), "ValidationException");
    let nowhere = CreateGrantInput { grantee_principal: Some("somebody".to_owned()), ..grant };
    assert_eq!(code(root.call(nowhere).await), "InvalidArnException");
}

#[tokio::test]
async fn a_grantee_passes_on_no_more_than_it_has() {
    let cloud = start().await;
    let (root, nobody) = (cloud.root(), cloud.nobody());
    let key = make(&root, symmetric()).await;
    let grant = |who: &str, operations: &[GrantOperation]| CreateGrantInput {
        key_id: key.key_id.clone(),
        grantee_principal: Some(user(who)),
        operations: operations.to_vec(),
        ..CreateGrantInput::default()
    };
    let own = grant("nobody", &[GrantOperation::Encrypt, GrantOperation::CreateGrant]);
    root.call(own).await.unwrap();
    nobody.call(grant("alice", &[GrantOperation::Encrypt])).await.unwrap();
    let more = nobody.call(grant("alice", &[GrantOperation::Decrypt])).await;
    assert_eq!(code(more), "AccessDeniedException");
}

#[tokio::test]
async fn an_aws_managed_key_works_through_its_service_alone() {
    let cloud = start().await;
    let root = cloud.root();
    let before = root.call(ListAliasesInput::default()).await.unwrap().aliases;
    let own =
        |alias: &&kms_api::AliasListEntry| alias.alias_name.as_deref() == Some("alias/aws/s3");
    assert_eq!(before.iter().find(own).unwrap().target_key_id, None);
    let describe =
        DescribeKeyInput { key_id: "alias/aws/s3".to_owned(), ..DescribeKeyInput::default() };
    let key = root.call(describe.clone()).await.unwrap().key_metadata.unwrap();
    assert_eq!(key.key_manager, Some(kms_api::KeyManagerType::Aws));
    let again = root.call(describe).await.unwrap().key_metadata.unwrap();
    assert_eq!(key.key_id, again.key_id);
    let after = root.call(ListAliasesInput::default()).await.unwrap().aliases;
    assert_eq!(after.iter().find(own).unwrap().target_key_id.as_ref(), Some(&key.key_id));
    for id in ["alias/aws/s3", key.key_id.as_str()] {
        assert_eq!(code(root.call(encrypt(id, &[])).await), "AccessDeniedException");
    }
    let disable = DisableKeyInput { key_id: key.key_id.clone() };
    assert_eq!(code(root.call(disable).await), "AccessDeniedException");
    let delete = ScheduleKeyDeletionInput { key_id: key.key_id, pending_window_in_days: None };
    assert_eq!(code(root.call(delete).await), "AccessDeniedException");
    assert_eq!(code(root.call(encrypt("alias/aws/none", &[])).await), "NotFoundException");
}

#[tokio::test]
async fn lists_come_in_pages_and_show_what_is_there() {
    let cloud = start().await;
    let root = cloud.root();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(make(&root, symmetric()).await.key_id);
    }
    let (mut seen, mut marker) = (Vec::new(), None);
    loop {
        let input = ListKeysInput { limit: Some(2), marker, ..ListKeysInput::default() };
        let page = root.call(input).await.unwrap();
        assert_eq!(page.truncated, Some(page.next_marker.is_some()));
        seen.extend(page.keys.into_iter().filter_map(|key| key.key_id));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    made.sort();
    assert_eq!(seen, made);
    let bad = ListKeysInput { marker: Some("!".to_owned()), ..ListKeysInput::default() };
    assert_eq!(code(root.call(bad).await), "InvalidMarkerException");
}

#[tokio::test]
async fn names_and_tags_change() {
    let cloud = start().await;
    let root = cloud.root();
    let (one, two) = (make(&root, symmetric()).await, make(&root, symmetric()).await);
    let name = |key: &str, alias: &str| CreateAliasInput {
        alias_name: alias.to_owned(),
        target_key_id: key.to_owned(),
    };
    root.call(name(&one.key_id, "alias/app")).await.unwrap();
    let taken = root.call(name(&two.key_id, "alias/app")).await;
    assert_eq!(code(taken), "AlreadyExistsException");
    let reserved = root.call(name(&two.key_id, "alias/aws/app")).await;
    assert_eq!(code(reserved), "InvalidAliasNameException");
    root.call(encrypt("alias/app", &[])).await.unwrap();
    let alias_name = "alias/app".to_owned();
    let update = UpdateAliasInput { alias_name, target_key_id: two.key_id.clone() };
    root.call(update).await.unwrap();
    let used = root.call(encrypt("alias/app", &[])).await.unwrap().key_id;
    assert_eq!(used, two.arn);
    let id = || two.key_id.clone();
    let tag = Tag { tag_key: "team".to_owned(), tag_value: "a".to_owned() };
    root.call(TagResourceInput { key_id: id(), tags: vec![tag] }).await.unwrap();
    let tags = || ListResourceTagsInput { key_id: id(), ..ListResourceTagsInput::default() };
    assert_eq!(root.call(tags()).await.unwrap().tags.len(), 1);
    let reader = cloud.user(
        "reader",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:DescribeKey",
        "Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}"#,
    );
    let describe = |key_id: String| DescribeKeyInput { key_id, ..DescribeKeyInput::default() };
    reader.call(describe(id())).await.unwrap();
    assert_eq!(code(reader.call(describe(one.key_id)).await), "AccessDeniedException");
    let untag = UntagResourceInput { key_id: id(), tag_keys: vec!["team".to_owned()] };
    root.call(untag).await.unwrap();
    assert!(root.call(tags()).await.unwrap().tags.is_empty());
    let describe_as = "what it is for".to_owned();
    let rename = UpdateKeyDescriptionInput { key_id: id(), description: describe_as.clone() };
    root.call(rename).await.unwrap();
    let shown = root.call(describe(id())).await.unwrap().key_metadata.unwrap();
    assert_eq!(shown.description, Some(describe_as));
}

#[tokio::test]
async fn there_is_one_region_to_be_in() {
    let cloud = start().await;
    let root = cloud.root();
    let input = CreateKeyInput { multi_region: Some(true), ..CreateKeyInput::default() };
    let key = make(&root, input).await;
    assert!(key.key_id.starts_with("mrk-") && key.multi_region == Some(true));
    let blob = root.call(encrypt(&key.key_id, &[])).await.unwrap().ciphertext_blob;
    let decrypt = DecryptInput { ciphertext_blob: blob, ..DecryptInput::default() };
    root.call(decrypt).await.unwrap();
    let replicate = ReplicateKeyInput {
        key_id: key.key_id.clone(),
        replica_region: "us-east-1".to_owned(),
        ..ReplicateKeyInput::default()
    };
    assert_eq!(code(root.call(replicate).await), "UnsupportedOperationException");
    let primary_region = REGION.to_owned();
    let primary = UpdatePrimaryRegionInput { key_id: key.key_id, primary_region };
    assert_eq!(code(root.call(primary).await), "UnsupportedOperationException");
}
