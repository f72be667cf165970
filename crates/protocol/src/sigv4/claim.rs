//! What a request claims: who signed it, when, for where, and over what.
//!
//! AWS: "Elements of an AWS API request signature", "Authenticating Requests: Using Query
//! Parameters".

use std::time::Duration;

use base::Timestamp;

use super::canonical::Parts;
use super::error::{BadExpires, SigV4Error};
use super::is_s3;
use super::{ALGORITHM, ALGORITHM_A};

/// The header that names the regions of a signature for several.
pub(crate) const REGION_SET: &str = "x-amz-region-set";

/// The longest life of a presigned request: seven days.
const EXPIRES_MAX_SECS: i64 = 604_800;

/// A request's signature and what it says about itself. Nothing of it is proved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The access key that is to have signed.
    pub access_key_id: String,
    /// When the request was signed.
    pub date: Timestamp,
    /// The day in the credential scope, eight digits.
    pub scope_date: String,
    /// The region in the credential scope; for several regions the set of them, as
    /// `us-east-1,eu-*`.
    pub region: String,
    /// The signature holds in a set of regions (SigV4a).
    pub asymmetric: bool,
    /// The service in the credential scope.
    pub service: String,
    /// The signed headers, in lower case, in the order of the claim.
    pub signed_headers: Vec<String>,
    /// The signature, in lower-case hexadecimal if it is one.
    pub signature: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
    /// Where the signature stands.
    pub presented: Presented,
}

/// Where a signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// In the `Authorization` header.
    Header,
    /// In the query of a presigned request, which is valid this long.
    Query {
        /// From the date on; nothing when the query does not say.
        expires: Option<Duration>,
    },
}

impl Claim {
    /// Reads the claim of a request; nothing when it carries no authentication at all.
    ///
    /// # Errors
    ///
    /// What is missing from the claim or malformed in it.
    pub fn parse(parts: &Parts<'_>) -> Result<Option<Self>, SigV4Error> {
        let in_query = parts.query_value("X-Amz-Algorithm");
        let mut headers = parts.headers.get_all("authorization").iter();
        match (in_query, headers.next(), headers.next()) {
            (None, None, _) => Ok(None),
            (Some(_), Some(_), _) | (_, _, Some(_)) => Err(SigV4Error::SeveralMechanisms),
            (Some(algorithm), None, _) => Self::of_query(parts, &algorithm).map(Some),
            (None, Some(value), None) => {
                let text = value.to_str().unwrap_or_default();
                Self::of_header(parts, text).map(Some)
            }
        }
    }

    /// The credential scope, as `20150830/us-east-1/iam/aws4_request`.
    pub fn scope(&self) -> String {
        if self.asymmetric {
            return format!("{}/{}/aws4_request", self.scope_date, self.service);
        }
        format!("{}/{}/{}/aws4_request", self.scope_date, self.region, self.service)
    }

    /// Checks that the request was signed for `region` and one of `services`.
    ///
    /// # Errors
    ///
    /// [`SigV4Error::WrongService`] or [`SigV4Error::WrongRegion`].
    pub fn check_scope(&self, region: &str, services: &[&str]) -> Result<(), SigV4Error> {
        if !services.contains(&self.service.as_str()) {
            return Err(SigV4Error::WrongService {
                presented: self.service.clone(),
                expected: services.first().copied().unwrap_or_default().to_owned(),
                place: self.place(),
            });
        }
        if !self.holds_in(region) {
            return Err(SigV4Error::WrongRegion {
                presented: self.region.clone(),
                expected: region.to_owned(),
                place: self.place(),
            });
        }
        Ok(())
    }

    /// Whether the signature is for `region`.
    fn holds_in(&self, region: &str) -> bool {
        if !self.asymmetric {
            return self.region == region;
        }
        self.region.split(',').map(str::trim).any(|one| match one.split_once('*') {
            Some((start, "")) => region.starts_with(start),
            Some(_) => false,
            None => one == region,
        })
    }

    pub(crate) fn place(&self) -> Place {
        match self.presented {
            Presented::Header => Place::Header,
            Presented::Query { .. } => Place::Query,
        }
    }

    fn of_header(parts: &Parts<'_>, authorization: &str) -> Result<Self, SigV4Error> {
        let (algorithm, fields) =
            authorization.trim().split_once(' ').unwrap_or((authorization.trim(), ""));
        if algorithm != ALGORITHM && algorithm != ALGORITHM_A {
            return Err(SigV4Error::UnsupportedAlgorithm {
                presented: algorithm.to_owned(),
                place: Place::Header,
            });
        }
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let date = parts.header("x-amz-date").or_else(|| parts.header("date"));
        let (credential, signed, signature) =
            (field("Credential"), field("SignedHeaders"), field("Signature"));
        let (Some(credential), Some(signed), Some(signature), Some(date)) =
            (credential, signed, signature, date)
        else {
            let missing = [
                ("Credential", credential.is_none()),
                ("Signature", signature.is_none()),
                ("SignedHeaders", signed.is_none()),
            ];
            return Err(SigV4Error::Incomplete {
                missing: missing.iter().filter(|(_, absent)| *absent).map(|(n, _)| *n).collect(),
                date_missing: date.is_none(),
                authorization: authorization.to_owned(),
            });
        };
        Self::assemble(Texts {
            credential,
            date,
            signed_headers: signed,
            signature,
            session_token: parts.header("x-amz-security-token").map(str::to_owned),
            presented: Presented::Header,
            region_set: (algorithm == ALGORITHM_A)
                .then(|| parts.header(REGION_SET).unwrap_or_default().to_owned()),
        })
    }

    fn of_query(parts: &Parts<'_>, algorithm: &str) -> Result<Self, SigV4Error> {
        if algorithm != ALGORITHM && algorithm != ALGORITHM_A {
            return Err(SigV4Error::UnsupportedAlgorithm {
                presented: algorithm.to_owned(),
                place: Place::Query,
            });
        }
        let value = |name| parts.query_value(name);
        let (credential, date) = (value("X-Amz-Credential"), value("X-Amz-Date"));
        let (signed, signature) = (value("X-Amz-SignedHeaders"), value("X-Amz-Signature"));
        let (Some(credential), Some(date), Some(signed), Some(signature)) =
            (credential, date, signed, signature)
        else {
            return Err(SigV4Error::IncompleteQuery);
        };
        let expires = value("X-Amz-Expires").map(|text| parse_expires(&text)).transpose()?;
        let claim = Self::assemble(Texts {
            credential: &credential,
            date: &date,
            signed_headers: &signed,
            signature: &signature,
            session_token: value("X-Amz-Security-Token"),
            presented: Presented::Query { expires },
            region_set: (algorithm == ALGORITHM_A)
                .then(|| value("X-Amz-Region-Set").unwrap_or_default()),
        })?;
        // S3 wants all six parameters; elsewhere a life is optional.
        if expires.is_none() && is_s3(&claim.service) {
            return Err(SigV4Error::IncompleteQuery);
        }
        Ok(claim)
    }

    fn assemble(texts: Texts<'_>) -> Result<Self, SigV4Error> {
        let place = match texts.presented {
            Presented::Header => Place::Header,
            Presented::Query { .. } => Place::Query,
        };
        let region_set = texts.region_set.as_deref();
        let [access_key_id, scope_date, region, service, terminator] =
            split_credential(texts.credential, region_set).ok_or_else(|| {
                SigV4Error::MalformedCredential { presented: texts.credential.to_owned(), place }
            })?;
        if terminator != "aws4_request" {
            return Err(SigV4Error::BadTerminator { presented: terminator.to_owned(), place });
        }
        let date = parse_date(texts.date, place)
            .ok_or_else(|| SigV4Error::BadDate { presented: texts.date.to_owned(), place })?;
        let amz_date = date.iso8601_basic();
        if !amz_date.starts_with(scope_date) || scope_date.len() != 8 {
            return Err(SigV4Error::DateMismatch {
                scope_date: scope_date.to_owned(),
                amz_date,
                place,
            });
        }
        let signed_headers: Vec<String> = texts
            .signed_headers
            .split(';')
            .filter(|name| !name.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date,
            scope_date: scope_date.to_owned(),
            region: region.to_owned(),
            asymmetric: region_set.is_some(),
            service: service.to_owned(),
            signed_headers,
            signature: texts.signature.to_owned(),
            session_token: texts.session_token,
            presented: texts.presented,
        })
    }
}

/// Which of the two forms a fault is in, for their messages differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The `Authorization` header.
    Header,
    /// The query.
    Query,
}

struct Texts<'a> {
    credential: &'a str,
    date: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
    session_token: Option<String>,
    presented: Presented,
    /// The regions of a signature for several.
    region_set: Option<String>,
}

/// An access key id holds no slash, so there are five parts and none is empty.
/// A signature for a set of regions names them elsewhere, and so has four parts.
fn split_credential<'a>(credential: &'a str, region_set: Option<&'a str>) -> Option<[&'a str; 5]> {
    let mut parts: Vec<&str> = credential.split('/').collect();
    if let Some(regions) = region_set {
        if parts.len() != 4 {
            return None;
        }
        parts.insert(2, regions);
    }
    let parts: [&str; 5] = parts.try_into().ok()?;
    parts.iter().all(|part| !part.is_empty()).then_some(parts)
}

/// The basic ISO 8601 form to the second, or, in a `Date` header, HTTP's own form.
fn parse_date(text: &str, place: Place) -> Option<Timestamp> {
    let text = text.trim();
    let basic = text.len() == 16 && text.as_bytes().get(8) == Some(&b'T') && text.ends_with('Z');
    let http = place == Place::Header && text.contains(", ");
    let date: Timestamp = (basic || http).then(|| text.parse().ok())??;
    // A date that does not print as it was read would be signed in another form than it came.
    (http || date.iso8601_basic() == text).then_some(date)
}

fn parse_expires(text: &str) -> Result<Duration, SigV4Error> {
    let bad = |fault| Err(SigV4Error::BadExpires(fault));
    match text.parse::<i64>() {
        Err(_) => bad(BadExpires::NotANumber),
        Ok(secs) if secs < 0 => bad(BadExpires::Negative),
        Ok(secs) if secs > EXPIRES_MAX_SECS => bad(BadExpires::TooLong),
        Ok(secs) => Ok(Duration::from_secs(secs.unsigned_abs())),
    }
}
