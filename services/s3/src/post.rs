//! Uploads by forms of browsers: the form, its policy, its signature. What passes becomes a
//! PutObject by whoever signed the policy.
//!
//! AWS: "Browser-Based Uploads Using POST (AWS Signature Version 4)".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kernel::session::session_caller;
use kernel::web::{WebRequest, WebResponse};
use kernel::{Caller, Client};
use protocol::ByteStream;
use protocol::sigv4::{ALGORITHM, SigningKey};
use s3_api::{PutObjectInput, PutObjectOutput};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::form::{Form, parse};
use crate::percent;
use crate::post_policy::Policy;

/// The longest form that is taken: it is held in memory while its policy is checked.
const FORM_MAX: usize = 64 * 1024 * 1024;

/// Takes a form in.
///
/// AWS: POST Object.
pub(crate) async fn accept(ctx: &Ctx, request: &WebRequest) -> Result<WebResponse> {
    if request.body.length().is_some_and(|length| length > FORM_MAX as u64) {
        let size = request.body.length().unwrap_or_default();
        return Err(Error::EntityTooLarge { size, max: FORM_MAX as u64 });
    }
    let kind = request.header("content-type").unwrap_or_default();
    let boundary = kind.split("boundary=").nth(1).map(|text| text.trim().trim_matches('"'));
    let body = request.body.collect(FORM_MAX).await.map_err(|e| Error::of_body(&e))?;
    let mut form = parse(&body, boundary.unwrap_or_default()).map_err(malformed)?;
    form.fill_name();
    if form.field("key").is_none_or(str::is_empty) {
        let text = "Bucket POST must contain a field named 'key'.  If it is specified, please \
                    check the order of the fields.";
        return Err(Error::argument("key", "", text));
    }
    let client = match form.field("policy") {
        None => ctx.client.clone(),
        Some(policy) => {
            let caller = signer(ctx, &form, policy).await?;
            let policy = Policy::read(policy)?;
            policy.check(&form, &request.bucket, ctx.now())?;
            signed_client(ctx, caller)
        }
    };
    let input = input_of(request, &form)?;
    let output = client.call(input).await?;
    Ok(answer(request, &form, &output))
}

fn malformed(text: &'static str) -> Error {
    Error::MalformedPost(text)
}

fn signed_client(ctx: &Ctx, caller: Caller) -> Client {
    let mut call = ctx.call().clone();
    let keys = &mut call.request.keys;
    keys.insert("s3:authType".to_owned(), "POST".to_owned());
    keys.insert("s3:signatureversion".to_owned(), ALGORITHM.to_owned());
    call.client_as(caller)
}

/// Whoever signed the form's policy.
async fn signer(ctx: &Ctx, form: &Form, policy: &str) -> Result<Caller> {
    if form.field("awsaccesskeyid").is_some() || form.field("signature").is_some() {
        let text = "The authorization mechanism you have provided is not supported. Please use \
                    AWS4-HMAC-SHA256.";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let field = |name: &'static str| {
        form.field(name).ok_or_else(|| {
            let text = format!(
                "Bucket POST must contain a field named '{name}'.  If it is specified, please \
                 check the order of the fields."
            );
            Error::argument(name, "", text)
        })
    };
    if field("x-amz-algorithm")? != ALGORITHM {
        let text = "x-amz-algorithm must be \"AWS4-HMAC-SHA256\"";
        return Err(Error::argument("x-amz-algorithm", field("x-amz-algorithm")?, text));
    }
    let (credential, signature) = (field("x-amz-credential")?, field("x-amz-signature")?);
    let parts: Vec<&str> = credential.split('/').collect();
    let &[key, date, region, "s3", "aws4_request"] = parts.as_slice() else {
        let text = "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; \
                    expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
        return Err(Error::argument("x-amz-credential", credential, text));
    };
    if !field("x-amz-date")?.starts_with(date) || region != ctx.region.as_str() {
        let text = format!(
            "Error parsing the X-Amz-Credential parameter; the region '{region}' is wrong; \
             expecting '{}'",
            ctx.region
        );
        return Err(Error::argument("x-amz-credential", credential, text));
    }
    let (secret, caller) = secret_of(ctx, form, key).await?;
    match SigningKey::derive(&secret, date, region, "s3").verify(policy, signature) {
        true => Ok(caller),
        false => Err(Error::SignatureDoesNotMatch),
    }
}

async fn secret_of(ctx: &Ctx, form: &Form, key: &str) -> Result<(String, Caller)> {
    if let Some(token) = form.field("x-amz-security-token") {
        let session = ctx.kernel().sealer().open(token).ok();
        let session = session.filter(|session| session.access_key_id == key);
        let session = session.ok_or(Error::InvalidAccessKeyId)?;
        if session.expires <= ctx.now() {
            return Err(Error::ExpiredToken);
        }
        let secret = session.secret_access_key.clone();
        return Ok((secret, session_caller(session)?));
    }
    match ctx.kernel().identity().access_key(key).await? {
        Some(known) if known.active => Ok((known.secret, known.caller)),
        Some(_) | None => Err(Error::InvalidAccessKeyId),
    }
}

/// Fields that say how the form is answered and signed, not how the object is.
const ABOUT_THE_FORM: [&str; 13] = [
    "key",
    "policy",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
    "x-amz-security-token",
    "success_action_redirect",
    "success_action_status",
    "redirect",
    "bucket",
    "submit",
    "tagging",
];

/// The PutObject that the form is.
fn input_of(request: &WebRequest, form: &Form) -> Result<PutObjectInput> {
    let text = |name: &str| form.field(name).map(str::to_owned);
    let mut input = PutObjectInput {
        bucket: request.bucket.clone(),
        key: text("key").unwrap_or_default(),
        body: Some(ByteStream::from(form.file.clone())),
        cache_control: text("cache-control"),
        content_disposition: text("content-disposition"),
        content_encoding: text("content-encoding"),
        content_type: text("content-type"),
        expires: text("expires"),
        website_redirect_location: text("x-amz-website-redirect-location"),
        content_md5: text("content-md5"),
        ssekms_key_id: text("x-amz-server-side-encryption-aws-kms-key-id"),
        ssekms_encryption_context: text("x-amz-server-side-encryption-context"),
        sse_customer_algorithm: text("x-amz-server-side-encryption-customer-algorithm"),
        sse_customer_key: text("x-amz-server-side-encryption-customer-key"),
        sse_customer_key_md5: text("x-amz-server-side-encryption-customer-key-md5"),
        checksum_crc32: text("x-amz-checksum-crc32"),
        checksum_crc32_c: text("x-amz-checksum-crc32c"),
        checksum_crc64_nvme: text("x-amz-checksum-crc64nvme"),
        checksum_sha1: text("x-amz-checksum-sha1"),
        checksum_sha256: text("x-amz-checksum-sha256"),
        ..PutObjectInput::default()
    };
    input.acl = named(form, "acl")?;
    input.storage_class = named(form, "x-amz-storage-class")?;
    input.server_side_encryption = named(form, "x-amz-server-side-encryption")?;
    if let Some(tagging) = form.field("tagging") {
        let tags = crate::form::tags_of(tagging).ok_or(Error::MalformedXml)?;
        let pairs = tags
            .iter()
            .map(|(key, value)| format!("{}={}", percent::encode(key), percent::encode(value)));
        input.tagging = Some(pairs.collect::<Vec<_>>().join("&"));
    }
    for (name, value) in &form.fields {
        if let Some(name) = name.strip_prefix("x-amz-meta-") {
            input.metadata.insert(name.to_owned(), value.clone());
        } else if name.starts_with("x-amz-") && !is_known(name) {
            return Err(Error::argument("field", name, "The field is not supported in forms"));
        }
    }
    Ok(input)
}

fn is_known(name: &str) -> bool {
    ABOUT_THE_FORM.contains(&name)
        || name.starts_with("x-amz-checksum-")
        || name.starts_with("x-amz-server-side-encryption")
        || matches!(name, "x-amz-storage-class" | "x-amz-website-redirect-location")
}

fn named<T: std::str::FromStr>(form: &Form, name: &'static str) -> Result<Option<T>> {
    let text = form.field(name);
    let read = text.map(|text| text.parse().map_err(|_| Error::argument(name, text, "")));
    read.transpose()
}

/// AWS: "HTML Form Declaration and Form Fields", success_action_redirect and
/// success_action_status.
fn answer(request: &WebRequest, form: &Form, output: &PutObjectOutput) -> WebResponse {
    let (bucket, key) = (&request.bucket, form.field("key").unwrap_or_default());
    let etag = output.e_tag.clone().unwrap_or_default();
    let host = request.header("host").unwrap_or_default();
    let location = format!("http://{host}/{bucket}/{}", percent::encode(key));
    let mut headers = vec![("etag".to_owned(), etag.clone())];
    if let Some(version) = &output.version_id {
        headers.push(("x-amz-version-id".to_owned(), version.clone()));
    }
    if let Some(sse) = output.server_side_encryption {
        headers.push(("x-amz-server-side-encryption".to_owned(), sse.as_str().to_owned()));
    }
    let redirect = form.field("success_action_redirect").or(form.field("redirect"));
    let is_address = |to: &&str| to.starts_with("http://") || to.starts_with("https://");
    if let Some(to) = redirect.filter(is_address) {
        let joint = if to.contains('?') { '&' } else { '?' };
        let to = format!(
            "{to}{joint}bucket={bucket}&key={}&etag={}",
            percent::encode(key).replace('/', "%2F"),
            percent::encode(&etag),
        );
        headers.push(("location".to_owned(), to));
        return WebResponse { status: 303, headers, body: ByteStream::default() };
    }
    headers.push(("location".to_owned(), location.clone()));
    match form.field("success_action_status") {
        Some("200") => WebResponse { status: 200, headers, body: ByteStream::default() },
        Some("201") => {
            headers.push(("content-type".to_owned(), "application/xml".to_owned()));
            let escape =
                |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}\
                 </Location><Bucket>{bucket}</Bucket><Key>{}</Key><ETag>{}</ETag></PostResponse>",
                escape(&location),
                escape(key),
                escape(&etag),
            );
            WebResponse { status: 201, headers, body: ByteStream::from(Bytes::from(text)) }
        }
        Some(_) | None => WebResponse { status: 204, headers, body: ByteStream::default() },
    }
}

/// The policy's text, which the form carries in base64.
pub(crate) fn decoded(policy: &str) -> Option<Vec<u8>> {
    let plain: String = policy.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(plain).ok()
}
