//! Calls from pages of other origins: the rules of a bucket, the questions that browsers ask
//! before a call, and the headers of answers.
//!
//! AWS: "Using cross-origin resource sharing (CORS)", "How does Amazon S3 evaluate the CORS
//! configuration on a bucket?".

use kernel::ServiceError;
use kernel::web::{WebRequest, WebResponse};
use protocol::ByteStream;
use s3_api::{
    CORSRule, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput,
    GetBucketCorsOutput, PutBucketCorsInput, PutBucketCorsOutput,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::error::{Error, Result};
use crate::kept::{end, keep, kept};
use crate::store::BUCKETS;

/// AWS: PutBucketCors, "up to 100 rules".
const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];
const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// Tells a bucket's rules for other origins.
///
/// AWS: GetBucketCors.
pub(crate) async fn get_bucket_cors(
    ctx: Ctx,
    input: GetBucketCorsInput,
) -> Result<GetBucketCorsOutput> {
    let wish = Wish::new("s3:GetBucketCORS", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    match kept::<PutBucketCorsInput>(&ctx, &bucket, "").await? {
        Some(set) => Ok(GetBucketCorsOutput { cors_rules: set.cors_configuration.cors_rules }),
        None => Err(Error::NoSuchCorsConfiguration(bucket.name)),
    }
}

/// Sets a bucket's rules for other origins.
///
/// AWS: PutBucketCors.
pub(crate) async fn put_bucket_cors(
    ctx: Ctx,
    input: PutBucketCorsInput,
) -> Result<PutBucketCorsOutput> {
    let wish = Wish::new("s3:PutBucketCORS", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    check(&input.cors_configuration.cors_rules)?;
    keep(&ctx, &bucket, "", input).await?;
    Ok(PutBucketCorsOutput {})
}

/// Takes a bucket's rules for other origins away.
///
/// AWS: DeleteBucketCors.
pub(crate) async fn delete_bucket_cors(
    ctx: Ctx,
    input: DeleteBucketCorsInput,
) -> Result<DeleteBucketCorsOutput> {
    let wish = Wish::new("s3:PutBucketCORS", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    end::<PutBucketCorsInput>(&ctx, &bucket, "", |_| {}).await?;
    Ok(DeleteBucketCorsOutput {})
}

fn check(rules: &[CORSRule]) -> Result<()> {
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(Error::MalformedXml);
    }
    for rule in rules {
        if rule.allowed_methods.is_empty() || rule.allowed_origins.is_empty() {
            return Err(Error::MalformedXml);
        }
        for method in &rule.allowed_methods {
            if !METHODS.contains(&method.as_str()) {
                return Err(Error::InvalidRequest(format!(
                    "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
                )));
            }
        }
        let stars = |text: &String| text.matches('*').count() > 1;
        if let Some(origin) = rule.allowed_origins.iter().find(|text| stars(text)) {
            return Err(Error::InvalidRequest(format!(
                "AllowedOrigin \"{origin}\" can not have more than one wildcard."
            )));
        }
        if let Some(name) = rule.allowed_headers.iter().find(|text| stars(text)) {
            return Err(Error::InvalidRequest(format!(
                "AllowedHeader \"{name}\" can not have more than one wildcard."
            )));
        }
        if let Some(name) = rule.expose_headers.iter().find(|text| text.contains('*')) {
            return Err(Error::InvalidRequest(format!(
                "ExposeHeader \"{name}\" contains wildcard. We currently do not support wildcard \
                 for ExposeHeader."
            )));
        }
    }
    Ok(())
}

/// Whether `text` is what `pattern` with at most one `*` stands for.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail)
        }
    }
}

/// The headers that a browser says it will send.
fn asked_headers(text: &str) -> Vec<String> {
    let names = text.split(',').map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

/// The first rule that lets a page of `origin` make a call by `method` with `headers`.
fn rule_for<'a>(
    rules: &'a [CORSRule],
    origin: &str,
    method: &str,
    headers: &[String],
) -> Option<&'a CORSRule> {
    rules.iter().find(|rule| {
        let may_send = |header: &String| {
            let mut allowed = rule.allowed_headers.iter();
            allowed.any(|pattern| matches(&pattern.to_ascii_lowercase(), header))
        };
        rule.allowed_origins.iter().any(|pattern| matches(pattern, origin))
            && rule.allowed_methods.iter().any(|allowed| allowed == method)
            && headers.iter().all(may_send)
    })
}

/// What a browser is told of a rule.
fn answer(rule: &CORSRule, origin: &str, headers: &[String]) -> Vec<(String, String)> {
    let everyone = rule.allowed_origins.iter().any(|origin| origin == "*");
    let mut out = Vec::new();
    let mut set = |name: &str, value: String| out.push((name.to_owned(), value));
    let allowed = if everyone { "*" } else { origin };
    set("access-control-allow-origin", allowed.to_owned());
    set("access-control-allow-methods", rule.allowed_methods.join(", "));
    if !headers.is_empty() {
        set("access-control-allow-headers", headers.join(", "));
    }
    if !rule.expose_headers.is_empty() {
        set("access-control-expose-headers", rule.expose_headers.join(", "));
    }
    if let Some(age) = rule.max_age_seconds {
        set("access-control-max-age", age.to_string());
    }
    if !everyone {
        set("access-control-allow-credentials", "true".to_owned());
    }
    set("vary", VARY.to_owned());
    out
}

async fn rules_of(ctx: &Ctx, bucket: &str) -> Result<Option<Vec<CORSRule>>> {
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, bucket)).await?;
    let Some(bucket) = found else { return Ok(None) };
    let kept = kept::<PutBucketCorsInput>(ctx, &bucket, "").await?;
    Ok(kept.map(|set| set.cors_configuration.cors_rules))
}

/// Answers a browser that asks whether it may make a call.
///
/// AWS: OPTIONS object.
pub(crate) async fn preflight(
    ctx: &Ctx,
    request: &WebRequest,
) -> std::result::Result<WebResponse, ServiceError> {
    let refused = |text: &str| {
        let error = ServiceError::new("AccessForbidden", text).status(403);
        let member = |text: &str| protocol::Value::Text(text.to_owned());
        Err(error.field("Method", member("OPTIONS")).field("ResourceType", member("BUCKET")))
    };
    let Some(origin) = request.header("origin") else {
        let text = "Insufficient information. Origin request header needed.";
        return Err(ServiceError::new("BadRequest", text));
    };
    let Some(method) = request.header("access-control-request-method") else {
        let text = "Invalid Access-Control-Request-Method: null";
        return Err(ServiceError::new("BadRequest", text));
    };
    if !METHODS.contains(&method) {
        let text = format!("Invalid Access-Control-Request-Method: {method}");
        return Err(ServiceError::new("BadRequest", text));
    }
    let Some(rules) = rules_of(ctx, &request.bucket).await? else {
        return refused("CORSResponse: CORS is not enabled for this bucket.");
    };
    let headers = asked_headers(request.header("access-control-request-headers").unwrap_or(""));
    let Some(rule) = rule_for(&rules, origin, method, &headers) else {
        return refused(
            "CORSResponse: This CORS request is not allowed. This is usually because the \
             evalution of Origin, request method / Access-Control-Request-Method or \
             Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
        );
    };
    let headers = answer(rule, origin, &headers);
    Ok(WebResponse { status: 200, headers, body: ByteStream::default() })
}

/// The headers that an answer to a page of another origin bears.
pub(crate) async fn headers_for(ctx: &Ctx, request: &WebRequest) -> Result<Vec<(String, String)>> {
    let Some(origin) = request.header("origin") else { return Ok(Vec::new()) };
    let rules = rules_of(ctx, &request.bucket).await?.unwrap_or_default();
    let rule = rule_for(&rules, origin, &request.method, &[]);
    Ok(rule.map(|rule| answer(rule, origin, &[])).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CORSRule {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        CORSRule {
            allowed_origins: texts(origins),
            allowed_methods: texts(methods),
            allowed_headers: texts(headers),
            ..CORSRule::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = [
            rule(&["http://www.example.com"], &["PUT", "POST"], &["*"]),
            rule(&["https://*.example.org"], &["GET"], &["x-amz-*", "Content-Type"]),
            rule(&["*"], &["GET"], &[]),
        ];
        let at = |origin: &str, method: &str, headers: &str| {
            let found = rule_for(&rules, origin, method, &asked_headers(headers))?;
            rules.iter().position(|rule| std::ptr::eq(rule, found))
        };
        for (origin, method, headers, want) in [
            ("http://www.example.com", "PUT", "anything, else", Some(0)),
            ("http://www.example.com", "DELETE", "", None),
            ("https://a.example.org", "GET", "X-Amz-Date, content-type", Some(1)),
            ("https://a.example.org", "GET", "authorization", None),
            ("http://a.example.org", "GET", "", Some(2)),
            ("null", "GET", "", Some(2)),
        ] {
            assert_eq!(at(origin, method, headers), want, "{origin} {method} {headers}");
        }
    }

    proptest! {
        /// One star stands for any text, overlapping ends excluded.
        #[test]
        fn a_star_equals_its_definition(head in "[ab]{0,3}", tail in "[ab]{0,3}", text in "[ab]{0,8}") {
            let naive = (0..=text.len()).any(|from| (from..=text.len()).any(|to| {
                text[..from] == head && text[to..] == tail
            }));
            prop_assert_eq!(matches(&format!("{head}*{tail}"), &text), naive);
        }

        /// No text panics, and what is asked for is never more than what came.
        #[test]
        fn any_header_can_be_read(text in ".{0,60}", origin in ".{0,30}", pattern in ".{0,12}") {
            let headers = asked_headers(&text);
            prop_assert!(headers.len() <= text.split(',').count());
            let rules = [rule(&[&pattern], &["GET"], &["*"])];
            let found = rule_for(&rules, &origin, "GET", &headers).is_some();
            prop_assert_eq!(found, matches(&pattern, &origin));
        }
    }
}
