//! Web sites in buckets: their configuration, and the pages as browsers get them.
//!
//! AWS: "Hosting a static website using Amazon S3", "Configuring a webpage redirect", "Configuring
//! a custom error document".

use bytes::Bytes;
use kernel::ServiceError;
use kernel::web::{WebRequest, WebResponse};
use protocol::{ByteStream, Value};
use s3_api::{
    DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput, GetBucketWebsiteInput,
    GetBucketWebsiteOutput, GetObjectInput, GetObjectOutput, PutBucketWebsiteInput,
    PutBucketWebsiteOutput, Redirect, RoutingRule, WebsiteConfiguration,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::error::{Error, Result};
use crate::kept::{end, keep, kept};
use crate::store::BUCKETS;

/// AWS: "Configuring a webpage redirect": at most 50 routing rules.
const RULES_MAX: usize = 50;

/// Tells a bucket's web site.
///
/// AWS: GetBucketWebsite.
pub(crate) async fn get_bucket_website(
    ctx: Ctx,
    input: GetBucketWebsiteInput,
) -> Result<GetBucketWebsiteOutput> {
    let wish = Wish::new("s3:GetBucketWebsite", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let Some(set) = kept::<PutBucketWebsiteInput>(&ctx, &bucket, "").await? else {
        return Err(Error::NoSuchWebsiteConfiguration(bucket.name));
    };
    let site = set.website_configuration;
    Ok(GetBucketWebsiteOutput {
        redirect_all_requests_to: site.redirect_all_requests_to,
        index_document: site.index_document,
        error_document: site.error_document,
        routing_rules: site.routing_rules,
    })
}

/// Makes a bucket a web site.
///
/// AWS: PutBucketWebsite.
pub(crate) async fn put_bucket_website(
    ctx: Ctx,
    input: PutBucketWebsiteInput,
) -> Result<PutBucketWebsiteOutput> {
    let wish = Wish::new("s3:PutBucketWebsite", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    check(&input.website_configuration)?;
    keep(&ctx, &bucket, "", input).await?;
    Ok(PutBucketWebsiteOutput {})
}

/// Ends a bucket's web site.
///
/// AWS: DeleteBucketWebsite.
pub(crate) async fn delete_bucket_website(
    ctx: Ctx,
    input: DeleteBucketWebsiteInput,
) -> Result<DeleteBucketWebsiteOutput> {
    let wish = Wish::new("s3:DeleteBucketWebsite", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    end::<PutBucketWebsiteInput>(&ctx, &bucket, "", |_| {}).await?;
    Ok(DeleteBucketWebsiteOutput {})
}

fn check(site: &WebsiteConfiguration) -> Result<()> {
    let wrong = |name, value: &str, text: &str| Err(Error::argument(name, value, text));
    if let Some(all) = &site.redirect_all_requests_to {
        let others = site.index_document.is_some()
            || site.error_document.is_some()
            || !site.routing_rules.is_empty();
        if others {
            let text = "RedirectAllRequestsTo cannot be provided in conjunction with other \
                        Routing Rules.";
            return wrong("RedirectAllRequestsTo", "not null", text);
        }
        if all.host_name.is_empty() {
            return wrong("HostName", "", "The HostName is not well formed");
        }
        return Ok(());
    }
    let Some(index) = &site.index_document else {
        let text = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is \
                    empty";
        return wrong("IndexDocument", "null", text);
    };
    if index.suffix.is_empty() || index.suffix.contains('/') {
        return wrong(
            "IndexDocument",
            &index.suffix,
            "The IndexDocument Suffix is not well formed",
        );
    }
    if site.error_document.as_ref().is_some_and(|document| document.key.is_empty()) {
        return wrong("ErrorDocument", "", "The ErrorDocument Key is not well formed");
    }
    if site.routing_rules.len() > RULES_MAX {
        let text = format!(
            "{} routing rules provided, the number of routing rules in a website configuration is \
             limited to 50.",
            site.routing_rules.len()
        );
        return Err(Error::InvalidRequest(text));
    }
    site.routing_rules.iter().try_for_each(check_rule)
}

fn check_rule(rule: &RoutingRule) -> Result<()> {
    let redirect = &rule.redirect;
    if redirect.replace_key_prefix_with.is_some() && redirect.replace_key_with.is_some() {
        let text = "You can only define ReplaceKeyPrefix or ReplaceKey but not both.";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let is_code = |text: &String, first: char| {
        text.len() == 3 && text.starts_with(first) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if let Some(code) = redirect.http_redirect_code.as_ref().filter(|c| !is_code(c, '3')) {
        let text = format!(
            "The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except \
             300."
        );
        return Err(Error::InvalidRequest(text));
    }
    let condition = rule.condition.clone().unwrap_or_default();
    if let Some(code) = &condition.http_error_code_returned_equals
        && !is_code(code, '4')
        && !is_code(code, '5')
    {
        let text = format!(
            "The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
        );
        return Err(Error::InvalidRequest(text));
    }
    Ok(())
}

/// The page that a browser asks for, or what stands in its place.
pub(crate) async fn serve(ctx: &Ctx, request: &WebRequest) -> WebResponse {
    match page(ctx, request).await {
        Ok(answer) => answer,
        Err(error) => html(ctx, request, &ServiceError::from(error), None),
    }
}

async fn page(ctx: &Ctx, request: &WebRequest) -> Result<WebResponse> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(Error::MethodNotAllowed);
    }
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, &request.bucket)).await?;
    let bucket = found.ok_or_else(|| Error::NoSuchBucket(request.bucket.clone()))?;
    let Some(set) = kept::<PutBucketWebsiteInput>(ctx, &bucket, "").await? else {
        return Err(Error::NoSuchWebsiteConfiguration(bucket.name));
    };
    let site = set.website_configuration;
    if let Some(all) = &site.redirect_all_requests_to {
        let protocol = all.protocol.map(|protocol| protocol.as_str());
        let to = address(ctx, protocol, Some(&all.host_name), &request.path);
        return Ok(moved(301, to));
    }
    let key = &request.path;
    if let Some(rule) = site.routing_rules.iter().find(|rule| applies(rule, key, None)) {
        return Ok(redirected(ctx, rule, key));
    }
    let index = site.index_document.as_ref().map(|index| index.suffix.as_str()).unwrap_or("");
    let wanted =
        if key.is_empty() || key.ends_with('/') { format!("{key}{index}") } else { key.clone() };
    let failure = match read(ctx, request, &wanted).await {
        Ok(output) => return Ok(shown(ctx, request, output, None)),
        Err(failure) => failure,
    };
    if failure.status == 304 {
        let body = ByteStream::default();
        return Ok(WebResponse { status: 304, headers: Vec::new(), body });
    }
    let folder = format!("{key}/{index}");
    let is_lost = matches!(failure.status, 403 | 404) && !wanted.ends_with(index);
    if is_lost && head(ctx, request, &folder).await {
        return Ok(moved(302, format!("/{}/", crate::percent::encode(key).replace('+', "%20"))));
    }
    let status = failure.status;
    if let Some(rule) = site.routing_rules.iter().find(|rule| applies(rule, key, Some(status))) {
        return Ok(redirected(ctx, rule, key));
    }
    let Some(document) = &site.error_document else {
        return Ok(html(ctx, request, &failure, None));
    };
    match read(ctx, &WebRequest { headers: Vec::new(), ..request.clone() }, &document.key).await {
        Ok(output) => Ok(shown(ctx, request, output, Some(status))),
        Err(second) => Ok(html(ctx, request, &failure, Some((&document.key, &second)))),
    }
}

/// Whether a rule is about `key`, before it is looked for (no status) or after that failed.
fn applies(rule: &RoutingRule, key: &str, status: Option<u16>) -> bool {
    let condition = rule.condition.clone().unwrap_or_default();
    let prefix = condition.key_prefix_equals.unwrap_or_default();
    let code = condition.http_error_code_returned_equals;
    key.starts_with(&prefix)
        && match (code, status) {
            (None, None) => true,
            (Some(code), Some(status)) => code == status.to_string(),
            (None, Some(_)) | (Some(_), None) => false,
        }
}

fn redirected(ctx: &Ctx, rule: &RoutingRule, key: &str) -> WebResponse {
    let Redirect { host_name, http_redirect_code, protocol, .. } = &rule.redirect;
    let to = replaced(rule, key);
    let code = http_redirect_code.as_deref().and_then(|code| code.parse().ok()).unwrap_or(301);
    let protocol = protocol.map(|protocol| protocol.as_str());
    moved(code, address(ctx, protocol, host_name.as_deref(), &to))
}

/// The key that a rule leads to.
fn replaced(rule: &RoutingRule, key: &str) -> String {
    let condition = rule.condition.clone().unwrap_or_default();
    let prefix = condition.key_prefix_equals.unwrap_or_default();
    match (&rule.redirect.replace_key_with, &rule.redirect.replace_key_prefix_with) {
        (Some(whole), _) => whole.clone(),
        (None, Some(head)) => format!("{head}{}", key.strip_prefix(&prefix).unwrap_or(key)),
        (None, None) => key.to_owned(),
    }
}

fn address(ctx: &Ctx, protocol: Option<&str>, host: Option<&str>, key: &str) -> String {
    let own = if ctx.request.secure { "https" } else { "http" };
    let key = crate::percent::encode(key).replace('+', "%20");
    format!("{}://{}/{key}", protocol.unwrap_or(own), host.unwrap_or(&ctx.request.host))
}

fn moved(status: u16, location: String) -> WebResponse {
    let headers = vec![("location".to_owned(), location)];
    WebResponse { status, headers, body: ByteStream::default() }
}

async fn head(ctx: &Ctx, request: &WebRequest, key: &str) -> bool {
    let input = s3_api::HeadObjectInput {
        bucket: request.bucket.clone(),
        key: key.to_owned(),
        ..Default::default()
    };
    ctx.client.call(input).await.is_ok()
}

/// The object, read as nobody in particular.
async fn read(
    ctx: &Ctx,
    request: &WebRequest,
    key: &str,
) -> std::result::Result<GetObjectOutput, ServiceError> {
    let header = |name: &str| request.header(name).map(str::to_owned);
    let time = |name: &str| request.header(name).and_then(|text| text.parse().ok());
    let input = GetObjectInput {
        bucket: request.bucket.clone(),
        key: key.to_owned(),
        range: header("range"),
        if_match: header("if-match"),
        if_none_match: header("if-none-match"),
        if_modified_since: time("if-modified-since"),
        if_unmodified_since: time("if-unmodified-since"),
        ..Default::default()
    };
    ctx.client.call(input).await
}

/// An object as a page; `status` is that of the error in whose place it stands.
fn shown(
    ctx: &Ctx,
    request: &WebRequest,
    output: GetObjectOutput,
    status: Option<u16>,
) -> WebResponse {
    if let (Some(to), None) = (&output.website_redirect_location, status) {
        let to = match to.starts_with('/') {
            true => address(ctx, None, None, to.trim_start_matches('/')),
            false => to.clone(),
        };
        return moved(301, to);
    }
    let partial = output.content_range.is_some();
    let pairs = [
        ("content-type", output.content_type),
        ("content-length", output.content_length.map(|length| length.to_string())),
        ("content-range", output.content_range),
        ("content-encoding", output.content_encoding),
        ("content-language", output.content_language),
        ("content-disposition", output.content_disposition),
        ("cache-control", output.cache_control),
        ("expires", output.expires),
        ("etag", output.e_tag),
        ("last-modified", output.last_modified.map(base::Timestamp::http_date)),
        ("x-amz-version-id", output.version_id),
    ];
    let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let metadata = output.metadata.into_iter();
    let metadata = metadata.map(|(name, value)| (format!("x-amz-meta-{name}"), value));
    let body = match request.method.as_str() {
        "HEAD" => ByteStream::default().with_length(None),
        _ => output.body.unwrap_or_default(),
    };
    let status = status.unwrap_or(if partial { 206 } else { 200 });
    WebResponse { status, headers: pairs.chain(metadata).collect(), body }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// An error as a page, with what became of the error document.
fn html(
    ctx: &Ctx,
    request: &WebRequest,
    error: &ServiceError,
    second: Option<(&str, &ServiceError)>,
) -> WebResponse {
    let reason = match error.status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        412 => "Precondition Failed",
        416 => "Requested Range Not Satisfiable",
        _ => "Internal Server Error",
    };
    let title = format!("{} {reason}", error.status);
    let mut rows = vec![("Code", error.code.clone()), ("Message", error.message.clone())];
    for (name, value) in error.fields.iter() {
        if let Value::Text(text) = value {
            rows.push((name, text.clone()));
        }
    }
    rows.push(("RequestId", ctx.request.request_id.clone()));
    rows.push(("HostId", ctx.request.request_id.clone()));
    let list = |rows: &[(&str, String)]| {
        let row = |(name, value): &(&str, String)| format!("<li>{name}: {}</li>\n", escaped(value));
        rows.iter().map(row).collect::<String>()
    };
    let mut text = format!(
        "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{}</ul>\n",
        list(&rows)
    );
    if let Some((key, second)) = second {
        text.push_str(&format!(
            "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n\
             <ul>\n{}</ul>\n",
            list(&[
                ("Code", second.code.clone()),
                ("Message", second.message.clone()),
                ("Key", key.to_owned()),
            ])
        ));
    }
    text.push_str("<hr/>\n</body>\n</html>\n");
    let headers = vec![
        ("content-type".to_owned(), "text/html; charset=utf-8".to_owned()),
        ("x-amz-error-code".to_owned(), error.code.clone()),
        ("x-amz-error-message".to_owned(), error.message.clone()),
    ];
    let body = match request.method.as_str() {
        "HEAD" => ByteStream::default(),
        _ => ByteStream::from(Bytes::from(text)),
    };
    WebResponse { status: error.status, headers, body }
}

#[cfg(test)]
mod tests {
    use s3_api::Condition;

    use super::*;

    #[test]
    fn rules_lead_keys_elsewhere() {
        let rule = |prefix: &str, code: Option<&str>, head: Option<&str>, whole: Option<&str>| {
            RoutingRule {
                condition: Some(Condition {
                    key_prefix_equals: Some(prefix.to_owned()),
                    http_error_code_returned_equals: code.map(str::to_owned),
                }),
                redirect: Redirect {
                    replace_key_prefix_with: head.map(str::to_owned),
                    replace_key_with: whole.map(str::to_owned),
                    ..Redirect::default()
                },
            }
        };
        let docs = rule("docs/", None, Some("documents/"), None);
        assert!(applies(&docs, "docs/a", None) && !applies(&docs, "docs/a", Some(404)));
        assert!(!applies(&docs, "other", None));
        assert_eq!(replaced(&docs, "docs/a/b"), "documents/a/b");
        let lost = rule("", Some("404"), None, Some("gone.html"));
        assert!(applies(&lost, "x", Some(404)) && !applies(&lost, "x", Some(403)));
        assert_eq!(replaced(&lost, "x"), "gone.html");
    }
}
