//! Identity providers, as they are kept.

use iam_api::*;

use crate::region::Region;

#[tokio::test]
async fn openid_connect_providers_are_kept_and_changed() {
    let region = Region::start().await;
    let admin = region.admin();
    let create = CreateOpenIDConnectProviderInput {
        url: "https://idp.example.com/tenant".to_owned(),
        client_id_list: vec!["one".to_owned()],
        thumbprint_list: vec!["a".repeat(40)],
        ..Default::default()
    };
    let bad = CreateOpenIDConnectProviderInput {
        thumbprint_list: vec!["z".repeat(40)],
        ..create.clone()
    };
    assert_eq!(admin.call(bad).await.unwrap_err().code, "InvalidInput");
    let made = admin.call(create.clone()).await.unwrap().open_id_connect_provider_arn.unwrap();
    assert_eq!(made, region.arn("oidc-provider/idp.example.com/tenant"));
    assert_eq!(admin.call(create).await.unwrap_err().code, "EntityAlreadyExists");
    let arn = || made.clone();
    let add = AddClientIDToOpenIDConnectProviderInput {
        open_id_connect_provider_arn: arn(),
        client_id: "two".to_owned(),
    };
    admin.call(add).await.unwrap();
    let remove = RemoveClientIDFromOpenIDConnectProviderInput {
        open_id_connect_provider_arn: arn(),
        client_id: "one".to_owned(),
    };
    admin.call(remove).await.unwrap();
    let thumbprint = UpdateOpenIDConnectProviderThumbprintInput {
        open_id_connect_provider_arn: arn(),
        thumbprint_list: vec!["b".repeat(40)],
    };
    admin.call(thumbprint).await.unwrap();
    let tags = vec![Tag { key: "k".to_owned(), value: "v".to_owned() }];
    let tag =
        TagOpenIDConnectProviderInput { open_id_connect_provider_arn: arn(), tags: tags.clone() };
    admin.call(tag).await.unwrap();
    let list = ListOpenIDConnectProviderTagsInput {
        open_id_connect_provider_arn: arn(),
        ..Default::default()
    };
    assert_eq!(admin.call(list).await.unwrap().tags, tags);
    let untag = UntagOpenIDConnectProviderInput {
        open_id_connect_provider_arn: arn(),
        tag_keys: vec!["k".to_owned()],
    };
    admin.call(untag).await.unwrap();
    let get = GetOpenIDConnectProviderInput { open_id_connect_provider_arn: arn() };
    let shown = admin.call(get.clone()).await.unwrap();
    assert_eq!(shown.client_id_list, ["two"]);
    assert_eq!(shown.thumbprint_list, ["b".repeat(40)]);
    let all = admin.call(ListOpenIDConnectProvidersInput::default()).await.unwrap();
    assert_eq!(all.open_id_connect_provider_list[0].arn.as_deref(), Some(&*made));
    let delete = DeleteOpenIDConnectProviderInput { open_id_connect_provider_arn: arn() };
    admin.call(delete).await.unwrap();
    assert_eq!(admin.call(get).await.unwrap_err().code, "NoSuchEntity");
}

#[tokio::test]
async fn saml_providers_are_kept_and_changed() {
    let region = Region::start().await;
    let admin = region.admin();
    let metadata = |id: &str| {
        let filler = "x".repeat(1000);
        format!(
            "<EntityDescriptor entityID=\"{id}\"><!-- {filler} --><IDPSSODescriptor>\
             <X509Certificate>MIIB</X509Certificate></IDPSSODescriptor></EntityDescriptor>"
        )
    };
    let create = |document: String| CreateSAMLProviderInput {
        saml_metadata_document: document,
        name: "idp".to_owned(),
        ..Default::default()
    };
    let bad = admin.call(create("x".repeat(1000))).await.unwrap_err();
    assert_eq!(bad.code, "InvalidInput");
    let made = admin.call(create(metadata("one"))).await.unwrap().saml_provider_arn.unwrap();
    assert_eq!(made, region.arn("saml-provider/idp"));
    let arn = || made.clone();
    let update = UpdateSAMLProviderInput {
        saml_provider_arn: arn(),
        saml_metadata_document: Some(metadata("two")),
        ..Default::default()
    };
    admin.call(update).await.unwrap();
    let get = GetSAMLProviderInput { saml_provider_arn: arn() };
    let shown = admin.call(get.clone()).await.unwrap();
    assert_eq!(shown.saml_metadata_document, Some(metadata("two")));
    let tags = vec![Tag { key: "k".to_owned(), value: "v".to_owned() }];
    let tag = TagSAMLProviderInput { saml_provider_arn: arn(), tags: tags.clone() };
    admin.call(tag).await.unwrap();
    let list = ListSAMLProviderTagsInput { saml_provider_arn: arn(), ..Default::default() };
    assert_eq!(admin.call(list).await.unwrap().tags, tags);
    let untag = UntagSAMLProviderInput { saml_provider_arn: arn(), tag_keys: vec!["k".to_owned()] };
    admin.call(untag).await.unwrap();
    let all = admin.call(ListSAMLProvidersInput::default()).await.unwrap();
    assert_eq!(all.saml_provider_list.len(), 1);
    admin.call(DeleteSAMLProviderInput { saml_provider_arn: arn() }).await.unwrap();
    assert_eq!(admin.call(get).await.unwrap_err().code, "NoSuchEntity");
}
