//! Certificates of servers that were bought elsewhere.
//!
//! AWS: "Manage server certificates in IAM".

use base::Arn;
use iam_api as api;
use iam_api::{
    DeleteServerCertificateInput, DeleteServerCertificateOutput, GetServerCertificateInput,
    GetServerCertificateOutput, ListServerCertificateTagsInput, ListServerCertificateTagsOutput,
    ListServerCertificatesInput, ListServerCertificatesOutput, ServerCertificateMetadata,
    TagServerCertificateInput, TagServerCertificateOutput, UntagServerCertificateInput,
    UntagServerCertificateOutput, UpdateServerCertificateInput, UpdateServerCertificateOutput,
    UploadServerCertificateInput, UploadServerCertificateOutput,
};
use store::ReadTx;

use crate::access::{self, Keys};
use crate::directory::unique_id;
use crate::entity::date;
use crate::error::{Error, Result};
use crate::pem::Certificate;
use crate::store::{SERVER_CERTS, ServerCert};
use crate::{Ctx, listing, tag};

/// AWS: "IAM and AWS STS quotas", server certificates stored in an account.
pub(crate) const CERTIFICATES_MAX: usize = 20;

fn arn(ctx: &Ctx, path: &str, name: &str) -> String {
    Arn::new("iam", "", &ctx.account, format!("server-certificate{path}{name}")).to_string()
}

fn get(tx: &ReadTx<'_>, name: &str) -> Result<ServerCert> {
    tx.get(&SERVER_CERTS, name)?.ok_or_else(|| {
        Error::NoSuchEntity(format!("The Server Certificate with name {name} cannot be found."))
    })
}

/// The certificate, once the caller may do `action` on it.
async fn existing(ctx: &Ctx, action: &str, name: &str, keys: Keys) -> Result<ServerCert> {
    let found = ctx.store.read(|tx| tx.get(&SERVER_CERTS, name)).await?;
    let path = found.as_ref().map_or("/", |found| found.path.as_str());
    let keys = keys.has(found.as_ref().map(|found| &found.tags));
    access::require(ctx, action, &arn(ctx, path, name), keys).await?;
    ctx.store.read(|tx| get(tx, name)).await
}

fn metadata(ctx: &Ctx, found: &ServerCert) -> ServerCertificateMetadata {
    ServerCertificateMetadata {
        path: found.path.clone(),
        server_certificate_name: found.name.clone(),
        server_certificate_id: found.id.clone(),
        arn: arn(ctx, &found.path, &found.name),
        upload_date: Some(date(found.uploaded)),
        expiration: Some(found.expires),
    }
}

/// Keeps a certificate and its private key, which is never told again.
///
/// AWS: UploadServerCertificate.
///
/// # Errors
///
/// [`Error::MalformedCertificate`], [`Error::KeyPairMismatch`], [`Error::EntityAlreadyExists`],
/// [`Error::LimitExceeded`].
pub(crate) async fn upload_server_certificate(
    ctx: Ctx,
    input: UploadServerCertificateInput,
) -> Result<UploadServerCertificateOutput> {
    let path = input.path.unwrap_or_else(|| "/".to_owned());
    let resource = arn(&ctx, &path, &input.server_certificate_name);
    let keys = Keys::new().sets(&input.tags);
    access::require(&ctx, "UploadServerCertificate", &resource, keys).await?;
    let read = Certificate::parse(&input.certificate_body).ok_or(Error::MalformedCertificate(
        "Unable to parse certificate. Please ensure the certificate is in PEM format.",
    ))?;
    if !read.belongs(&input.private_key) {
        return Err(Error::KeyPairMismatch("Certificate and private key do not match."));
    }
    if input.certificate_chain.as_ref().is_some_and(|chain| Certificate::parse(chain).is_none()) {
        return Err(Error::MalformedCertificate(
            "Unable to parse certificate chain. Please ensure it is in PEM format.",
        ));
    }
    let id = unique_id("ASCA", ctx.random());
    let place = format!("server-certificate/{id}");
    let certificate = ServerCert {
        key: ctx.kernel().sealer().seal_text(&place, &input.private_key),
        id,
        name: input.server_certificate_name,
        path,
        body: input.certificate_body,
        chain: input.certificate_chain,
        uploaded: ctx.now(),
        expires: read.not_after,
        tags: tag::from_request(&ctx, &input.tags)?,
    };
    ctx.store
        .write(|tx| {
            let all = tx.scan(&SERVER_CERTS, ())?;
            if all.iter().any(|other| other.name.eq_ignore_ascii_case(&certificate.name)) {
                return Err(Error::EntityAlreadyExists(format!(
                    "The Server Certificate with name {} already exists.",
                    certificate.name
                )));
            }
            if all.len() >= CERTIFICATES_MAX {
                return Err(Error::quota("ServerCertificatesPerAccount", CERTIFICATES_MAX));
            }
            Ok(tx.put(&SERVER_CERTS, &certificate)?)
        })
        .await?;
    Ok(UploadServerCertificateOutput {
        server_certificate_metadata: Some(metadata(&ctx, &certificate)),
        tags: tag::view(&certificate.tags),
    })
}

/// A certificate with its chain, without its key.
///
/// AWS: GetServerCertificate.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_server_certificate(
    ctx: Ctx,
    input: GetServerCertificateInput,
) -> Result<GetServerCertificateOutput> {
    let name = &input.server_certificate_name;
    let found = existing(&ctx, "GetServerCertificate", name, Keys::new()).await?;
    Ok(GetServerCertificateOutput {
        server_certificate: api::ServerCertificate {
            server_certificate_metadata: metadata(&ctx, &found),
            certificate_body: found.body,
            certificate_chain: found.chain,
            tags: tag::view(&found.tags),
        },
    })
}

/// The account's certificates.
///
/// AWS: ListServerCertificates.
pub(crate) async fn list_server_certificates(
    ctx: Ctx,
    input: ListServerCertificatesInput,
) -> Result<ListServerCertificatesOutput> {
    let prefix = input.path_prefix.as_deref();
    let resource = arn(&ctx, prefix.unwrap_or("/"), "");
    access::require(&ctx, "ListServerCertificates", &resource, Keys::new()).await?;
    let mut all = ctx.store.read(|tx| tx.scan(&SERVER_CERTS, ())).await?;
    all.retain(|found| listing::under(&found.path, prefix));
    let page =
        listing::page(all, input.marker.as_deref(), input.max_items, |found| found.name.clone())?;
    Ok(ListServerCertificatesOutput {
        server_certificate_metadata_list: page
            .items
            .iter()
            .map(|found| metadata(&ctx, found))
            .collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Gives a certificate another name or path.
///
/// AWS: UpdateServerCertificate.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::EntityAlreadyExists`].
pub(crate) async fn update_server_certificate(
    ctx: Ctx,
    input: UpdateServerCertificateInput,
) -> Result<UpdateServerCertificateOutput> {
    let name = &input.server_certificate_name;
    let old = existing(&ctx, "UpdateServerCertificate", name, Keys::new()).await?;
    let path = input.new_path.as_ref().unwrap_or(&old.path);
    let wanted = input.new_server_certificate_name.as_ref().unwrap_or(&old.name);
    let resource = arn(&ctx, path, wanted);
    access::require(&ctx, "UpdateServerCertificate", &resource, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let mut found = get(tx, name)?;
            if *wanted != found.name && tx.contains(&SERVER_CERTS, wanted)? {
                return Err(Error::EntityAlreadyExists(format!(
                    "The Server Certificate with name {wanted} already exists."
                )));
            }
            tx.delete(&SERVER_CERTS, name)?;
            found.name.clone_from(wanted);
            found.path.clone_from(path);
            Ok(tx.put(&SERVER_CERTS, &found)?)
        })
        .await?;
    Ok(UpdateServerCertificateOutput {})
}

/// Forgets a certificate and its key.
///
/// AWS: DeleteServerCertificate.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_server_certificate(
    ctx: Ctx,
    input: DeleteServerCertificateInput,
) -> Result<DeleteServerCertificateOutput> {
    let name = &input.server_certificate_name;
    existing(&ctx, "DeleteServerCertificate", name, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            get(tx, name)?;
            tx.delete(&SERVER_CERTS, name)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteServerCertificateOutput {})
}

/// Sets tags of a certificate.
///
/// AWS: TagServerCertificate.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn tag_server_certificate(
    ctx: Ctx,
    input: TagServerCertificateInput,
) -> Result<TagServerCertificateOutput> {
    let name = &input.server_certificate_name;
    existing(&ctx, "TagServerCertificate", name, Keys::new().sets(&input.tags)).await?;
    let wanted = tag::from_request(&ctx, &input.tags)?;
    ctx.store
        .write(|tx| {
            let mut found = get(tx, name)?;
            tag::merge(&mut found.tags, &wanted)?;
            Ok::<_, Error>(tx.put(&SERVER_CERTS, &found)?)
        })
        .await?;
    Ok(TagServerCertificateOutput {})
}

/// Takes tags of a certificate away.
///
/// AWS: UntagServerCertificate.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn untag_server_certificate(
    ctx: Ctx,
    input: UntagServerCertificateInput,
) -> Result<UntagServerCertificateOutput> {
    let name = &input.server_certificate_name;
    let keys = Keys::new().names(input.tag_keys.clone());
    existing(&ctx, "UntagServerCertificate", name, keys).await?;
    ctx.store
        .write(|tx| {
            let mut found = get(tx, name)?;
            tag::cut(&mut found.tags, &input.tag_keys);
            Ok::<_, Error>(tx.put(&SERVER_CERTS, &found)?)
        })
        .await?;
    Ok(UntagServerCertificateOutput {})
}

/// The tags of a certificate.
///
/// AWS: ListServerCertificateTags.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_server_certificate_tags(
    ctx: Ctx,
    input: ListServerCertificateTagsInput,
) -> Result<ListServerCertificateTagsOutput> {
    let name = &input.server_certificate_name;
    let found = existing(&ctx, "ListServerCertificateTags", name, Keys::new()).await?;
    let page = tag::page(&found.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListServerCertificateTagsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        tags: page.items,
    })
}
