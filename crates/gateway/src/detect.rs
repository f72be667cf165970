//! Which service a request means. AWS gives each service a host name of its own; here all share
//! one, so the request itself must tell: by the host name where the client kept it, by
//! `X-Amz-Target`, by the credential scope of its signature, by the path of the CBOR protocol, by
//! the API version of a query.

use std::collections::HashMap;

use http::request::Parts;
use protocol::schema::{self, ServiceHead};

/// Finds services. Built once; it knows every model's head but decodes none.
pub struct Detector {
    by_target: HashMap<&'static str, Vec<&'static ServiceHead>>,
    by_signing_name: HashMap<&'static str, Vec<&'static ServiceHead>>,
    by_endpoint: HashMap<&'static str, Vec<&'static ServiceHead>>,
}

/// What a request says of its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detected {
    /// Names of models, most likely first.
    pub(crate) candidates: Vec<&'static str>,
    /// The bucket that the host name carries.
    pub(crate) host_bucket: Option<String>,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// A detector over every embedded model.
    pub fn new() -> Self {
        let mut detector = Self {
            by_target: HashMap::new(),
            by_signing_name: HashMap::new(),
            by_endpoint: HashMap::new(),
        };
        for head in schema::heads() {
            if let Some(target) = head.target_prefix {
                detector.by_target.entry(target).or_default().push(head);
            }
            detector.by_signing_name.entry(head.signing_name).or_default().push(head);
            detector.by_endpoint.entry(head.endpoint_prefix).or_default().push(head);
        }
        detector
    }

    /// The services that the request may mean. `scope` is the service name in the credential
    /// scope, `version` the `Version` parameter of a query.
    pub(crate) fn detect(
        &self,
        parts: &Parts,
        scope: Option<&str>,
        version: Option<&str>,
    ) -> Detected {
        let host = host_of(parts);
        let host_bucket = bucket_of(host);
        let heads = self
            .of_target(parts)
            .or_else(|| self.of_path(parts))
            .or_else(|| scope.and_then(|scope| self.by_signing_name.get(scope)))
            .or_else(|| self.of_host(host));
        let mut candidates: Vec<&ServiceHead> = heads.cloned().unwrap_or_default();
        if let Some(version) = version {
            candidates.sort_by_key(|head| head.api_version != version);
        }
        let mut candidates: Vec<&'static str> = candidates.iter().map(|head| head.name).collect();
        if candidates.is_empty() && scope.is_none() {
            // What is not signed and names no service is a web request to a bucket.
            candidates.push("s3");
        }
        Detected { candidates, host_bucket }
    }

    fn of_target(&self, parts: &Parts) -> Option<&Vec<&'static ServiceHead>> {
        let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
        self.by_target.get(target.rsplit_once('.')?.0)
    }

    fn of_path(&self, parts: &Parts) -> Option<&Vec<&'static ServiceHead>> {
        let rest = parts.uri.path().strip_prefix("/service/")?;
        let (service, _) = rest.split_once("/operation/")?;
        self.by_target.get(service)
    }

    fn of_host(&self, host: &str) -> Option<&Vec<&'static ServiceHead>> {
        host.split('.').find_map(|label| self.by_endpoint.get(label))
    }
}

/// The host that the client called, without its port.
pub(crate) fn host_of(parts: &Parts) -> &str {
    let header = parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = parts.uri.host().or(header).unwrap_or_default();
    if host.starts_with('[') {
        return host;
    }
    host.split(':').next().unwrap_or_default()
}

/// The bucket in a virtual-hosted-style name: `bucket.s3.amazonaws.com`,
/// `bucket.s3.ap-northeast-2.amazonaws.com`, `bucket.s3.localhost`.
fn bucket_of(host: &str) -> Option<String> {
    let stem = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".localhost"))
        .or_else(|| host.strip_suffix(".localhost.localdomain"))?;
    let labels: Vec<&str> = stem.split('.').collect();
    let at = labels.iter().rposition(|l| *l == "s3" || l.starts_with("s3-"));
    let bucket = labels.get(..at?)?.join(".");
    (!bucket.is_empty()).then_some(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(host: &str, target: Option<&str>) -> Parts {
        let mut request = http::Request::builder().uri("/").header("host", host);
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_names_its_service_in_several_ways() {
        let detector = Detector::new();
        for (host, target, scope, version, want) in [
            ("127.0.0.1:4566", None, Some("sts"), None, "sts"),
            ("127.0.0.1:4566", Some("AmazonSSM.GetParameter"), None, None, "ssm"),
            ("ec2.ap-northeast-2.amazonaws.com", None, None, None, "ec2"),
            ("127.0.0.1", None, Some("elasticloadbalancing"), Some("2015-12-01"), "elbv2"),
            ("127.0.0.1", None, Some("elasticloadbalancing"), Some("2012-06-01"), "elb"),
            ("127.0.0.1", None, None, None, "s3"),
        ] {
            let detected = detector.detect(&parts(host, target), scope, version);
            assert_eq!(detected.candidates.first(), Some(&want), "{host} {target:?} {scope:?}");
        }
    }

    #[test]
    fn an_unknown_service_is_not_taken_for_a_bucket() {
        let detector = Detector::new();
        let detected = detector.detect(&parts("127.0.0.1", None), Some("nosuch"), None);
        assert!(detected.candidates.is_empty());
    }

    #[test]
    fn buckets_in_host_names_are_found() {
        for (host, want) in [
            ("b.s3.amazonaws.com", Some("b")),
            ("a.b.s3.ap-northeast-2.amazonaws.com", Some("a.b")),
            ("b.s3.localhost", Some("b")),
            ("s3.localhost", None),
            ("s3.ap-northeast-2.amazonaws.com", None),
            ("127.0.0.1", None),
            ("localhost", None),
        ] {
            assert_eq!(bucket_of(host).as_deref(), want, "{host}");
        }
    }
}
