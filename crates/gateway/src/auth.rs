//! Authentication: from a request's signature to the caller.
//!
//! AWS: "AWS Signature Version 4 for API requests" (IAM User Guide).

use base::Partition;
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use kernel::identity::AccessKey;
use kernel::session::session_caller;
use kernel::{Caller, Kernel, plain_caller};
use policy::Principal;
use protocol::schema::{OperationSchema, Protocol, ServiceSchema};
use protocol::sigv4::{
    self, ChunkedBody, ChunkedDecoder, Claim, Family, KeyCache, PayloadMode, SigV4Error, Verified,
    sha256_hex,
};
use protocol::wire::Body;
use protocol::{ByteStream, ServiceError};

use crate::body::{self, DeclaredBody};
use crate::serve::header;

/// Which callers are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Those whose signature is right.
    #[default]
    Signed,
    /// Any: twelve digits are that account's root user, a known key is itself (its signature is
    /// not checked), any other key is the first account's administrator.
    Open,
}

/// The service name in the credential scope that a request claims.
pub(crate) fn scope_service(parts: &Parts) -> Option<String> {
    let credential = match header(parts, "authorization") {
        Some(text) => text.split("Credential=").nth(1)?.split(',').next()?.to_owned(),
        None => sig_parts(parts).query_value("X-Amz-Credential")?,
    };
    credential.trim().split('/').nth_back(1).map(str::to_owned)
}

/// Who makes the request, and its body as the operation may read it.
pub(crate) async fn authenticate(
    kernel: &Kernel,
    keys: &KeyCache,
    mode: Mode,
    schema: &'static ServiceSchema,
    operation: &OperationSchema,
    parts: &Parts,
    body: Body,
) -> Result<(Caller, Body), ServiceError> {
    let refuse = |error: SigV4Error| answer(schema, &error);
    let sig = sig_parts(parts);
    if schema.name == "s3" && mode == Mode::Signed && is_version_2(&sig) {
        // AWS: "AWS Signature Version 2 turned off (deprecated) for Amazon S3".
        return Err(refuse(SigV4Error::UnsupportedAlgorithm {
            presented: "AWS".to_owned(),
            place: sigv4::Place::Header,
        }));
    }
    let claim = match Claim::parse(&sig) {
        Ok(claim) => claim,
        Err(_) if mode == Mode::Open => None,
        Err(error) => return Err(refuse(error)),
    };
    let Some(claim) = claim else {
        if mode == Mode::Open {
            let payload = unsigned_body(parts, body).map_err(refuse)?;
            return Ok((open_caller(kernel, "").await?, payload));
        }
        // A bucket policy may let everybody in; a few operations bring another proof along.
        if schema.name == "s3" || operation.anonymous {
            let payload = unsigned_body(parts, body).map_err(refuse)?;
            return Ok((anonymous(kernel), payload));
        }
        return Err(refuse(SigV4Error::MissingAuthenticationToken));
    };
    if mode == Mode::Open {
        let payload = unsigned_body(parts, body).map_err(refuse)?;
        return Ok((open_caller(kernel, &claim.access_key_id).await?, payload));
    }
    check_scope(kernel, schema, &claim).map_err(refuse)?;
    let (secret, caller) = claimed_caller(kernel, schema, &claim).await?;
    let payload = PayloadMode::of(&sig, &claim).map_err(refuse)?;
    let computed = match &body {
        Body::Bytes(bytes) => Some(sha256_hex(bytes)),
        Body::Stream(_) => None,
    };
    let canonical = payload.canonical().map(str::to_owned).or_else(|| computed.clone());
    let canonical = canonical.ok_or_else(|| refuse(SigV4Error::MissingContentSha256))?;
    let now = kernel.clock().now();
    let verified = sigv4::verify(&claim, &secret, &sig, &canonical, now, keys).map_err(refuse)?;
    if let Some(computed) = &computed {
        payload.check_body(computed).map_err(refuse)?;
    }
    let region = kernel.region().as_str();
    kernel.identity().access_key_used(&claim.access_key_id, schema.endpoint_prefix, region).await;
    let body = bound_body(parts, payload, body, &verified).await.map_err(refuse)?;
    Ok((caller, body))
}

/// Whether a request is presigned by the second version of signatures.
fn is_version_2(sig: &sigv4::Parts<'_>) -> bool {
    sig.query_value("AWSAccessKeyId").is_some() && sig.query_value("Signature").is_some()
}

fn sig_parts(parts: &Parts) -> sigv4::Parts<'_> {
    sigv4::Parts::of(&parts.method, &parts.uri, &parts.headers)
}

fn answer(schema: &ServiceSchema, error: &SigV4Error) -> ServiceError {
    let answer = error.answer(family(schema));
    let mut refusal = ServiceError::new(answer.code, answer.message).status(answer.status);
    for (name, value) in answer.members {
        refusal = refusal.field(name, protocol::Value::Text(value));
    }
    refusal
}

fn family(schema: &ServiceSchema) -> Family {
    if schema.name == "s3" {
        return Family::S3;
    }
    match schema.protocols.first() {
        Some(Protocol::Ec2Query) => Family::Ec2,
        Some(Protocol::AwsQuery) => Family::Query,
        Some(Protocol::RestJson1 | Protocol::RestXml) => Family::Rest,
        Some(Protocol::AwsJson10 | Protocol::AwsJson11 | Protocol::RpcV2Cbor) | None => {
            Family::Json
        }
    }
}

/// Regional services take the region's own scope, global ones also `us-east-1`.
fn check_scope(kernel: &Kernel, schema: &ServiceSchema, claim: &Claim) -> Result<(), SigV4Error> {
    let global = schema.global_endpoint.is_some() && claim.region == "us-east-1";
    let region = if global { "us-east-1" } else { kernel.region().as_str() };
    claim.check_scope(region, &[schema.signing_name])
}

/// The secret that must have signed, and whose it is.
async fn claimed_caller(
    kernel: &Kernel,
    schema: &ServiceSchema,
    claim: &Claim,
) -> Result<(String, Caller), ServiceError> {
    if let Some(token) = &claim.session_token {
        let session = kernel.sealer().open(token).ok();
        let session = session.filter(|session| session.access_key_id == claim.access_key_id);
        let session = session.ok_or_else(|| invalid_token(schema))?;
        if session.expires <= kernel.clock().now() {
            return Err(expired_token(schema));
        }
        let secret = session.secret_access_key.clone();
        return Ok((secret, session_caller(session)?));
    }
    match kernel.identity().access_key(&claim.access_key_id).await? {
        Some(AccessKey { secret, active: true, caller }) => Ok((secret, caller)),
        Some(_) | None => Err(invalid_token(schema)),
    }
}

pub(crate) fn anonymous(kernel: &Kernel) -> Caller {
    plain_caller(Principal::Anonymous, &kernel.settings().account, "anonymous")
}

/// Who an open region takes a key for.
async fn open_caller(kernel: &Kernel, key: &str) -> Result<Caller, ServiceError> {
    if let Ok(account) = key.parse::<base::AccountId>() {
        let principal = Principal::Root { account: account.clone() };
        return Ok(plain_caller(principal, &account, account.as_str()));
    }
    if let Some(known) = kernel.identity().access_key(key).await? {
        return Ok(known.caller);
    }
    let account = kernel.settings().account.clone();
    Ok(plain_caller(Principal::Root { account: account.clone() }, &account, account.as_str()))
}

/// The body of a request whose signature is not looked at: only its framing is taken off.
fn unsigned_body(parts: &Parts, body: Body) -> Result<Body, SigV4Error> {
    let sig = sig_parts(parts);
    let chunked = sig.header("x-amz-decoded-content-length").is_some();
    let declared = sig.header("x-amz-content-sha256").unwrap_or_default();
    match body {
        Body::Stream(stream) if chunked && declared.starts_with("STREAMING-") => {
            let mode = sigv4::ChunkMode::UnsignedTrailer;
            let decoder = ChunkedDecoder::new(mode, &sig, None)?;
            Ok(Body::Stream(unchunked(&stream, decoder)))
        }
        Body::Stream(stream) => Ok(Body::Stream(stream)),
        Body::Bytes(bytes) => Ok(Body::Bytes(bytes)),
    }
}

/// The body, bound to the signature: its bytes cannot be read to their end unless they are what
/// was signed.
async fn bound_body(
    parts: &Parts,
    payload: PayloadMode,
    body: Body,
    verified: &Verified,
) -> Result<Body, SigV4Error> {
    match (payload, body) {
        (PayloadMode::Chunks(mode), Body::Stream(stream)) => {
            let decoder = ChunkedDecoder::new(mode, &sig_parts(parts), Some(verified))?;
            Ok(Body::Stream(unchunked(&stream, decoder)))
        }
        (PayloadMode::Chunks(mode), Body::Bytes(bytes)) => {
            let decoder = ChunkedDecoder::new(mode, &sig_parts(parts), Some(verified))?;
            let chunked = ChunkedBody::new(Full::new(bytes), decoder);
            let collected = chunked.collect().await.map_err(|error| match error {
                sigv4::ChunkedBodyError::SigV4(error) => error,
                sigv4::ChunkedBodyError::Body(never) => match never {},
            })?;
            Ok(Body::Bytes(collected.to_bytes()))
        }
        (PayloadMode::Declared(hash), Body::Stream(stream)) => {
            let length = stream.length();
            let declared = DeclaredBody::new(taken(&stream), hash);
            Ok(Body::Stream(ByteStream::from_body(declared).with_length(length)))
        }
        (_, body) => Ok(body),
    }
}

fn taken(stream: &ByteStream) -> protocol::stream::StreamBody {
    stream.take().unwrap_or_else(|| body::empty(Bytes::new()))
}

fn unchunked(stream: &ByteStream, decoder: ChunkedDecoder) -> ByteStream {
    let length = decoder.decoded_length();
    ByteStream::from_body(ChunkedBody::new(taken(stream), decoder)).with_length(Some(length))
}

fn invalid_token(schema: &ServiceSchema) -> ServiceError {
    let message = "The security token included in the request is invalid.";
    match family(schema) {
        Family::S3 => ServiceError::new(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        )
        .status(403),
        Family::Json => ServiceError::new("UnrecognizedClientException", message),
        Family::Ec2 => ServiceError::new(
            "AuthFailure",
            format!(
                "{} was not able to validate the provided access credentials",
                Partition::NAME.to_uppercase()
            ),
        )
        .status(401),
        Family::Query | Family::Rest => {
            ServiceError::new("InvalidClientTokenId", message).status(403)
        }
    }
}

fn expired_token(schema: &ServiceSchema) -> ServiceError {
    let message = "The security token included in the request is expired";
    match family(schema) {
        Family::S3 => {
            ServiceError::new("ExpiredToken", "The provided token has expired.").status(400)
        }
        Family::Json => ServiceError::new("ExpiredTokenException", message),
        Family::Ec2 => ServiceError::new("RequestExpired", "Request has expired."),
        Family::Query | Family::Rest => ServiceError::new("ExpiredToken", message).status(403),
    }
}
