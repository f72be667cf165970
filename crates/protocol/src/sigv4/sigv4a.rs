//! Signatures that hold in several regions: ECDSA over P-256 under a key that follows from the
//! secret.
//!
//! AWS: "AWS Signature Version 4 for API requests", SigV4a. The private key is the first number that
//! NIST SP 800-108 gives in counter mode, under `AWS4A` and the secret, that is below the order
//! of the curve less two, and one more.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

use super::ALGORITHM_A;

/// The order of the curve, less two.
const ORDER_LESS_TWO: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];
/// What stands before a private key of P-256 in the form of RFC 5915, its public half left out.
const EC_PRIVATE_KEY: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
/// What stands behind it: the curve.
const CURVE: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The private key of an access key.
fn private_key(access_key_id: &str, secret: &str) -> Option<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4A{secret}").as_bytes());
    (1..=254u8).find_map(|counter| {
        let mut context = hmac::Context::with_key(&key);
        context.update(&1u32.to_be_bytes());
        context.update(ALGORITHM_A.as_bytes());
        context.update(&[0]);
        context.update(access_key_id.as_bytes());
        context.update(&[counter]);
        context.update(&256u32.to_be_bytes());
        let candidate: [u8; 32] = context.sign().as_ref().try_into().ok()?;
        (candidate <= ORDER_LESS_TWO).then(|| plus_one(candidate))
    })
}

fn plus_one(mut number: [u8; 32]) -> [u8; 32] {
    for digit in number.iter_mut().rev() {
        let (sum, carried) = digit.overflowing_add(1);
        *digit = sum;
        if !carried {
            break;
        }
    }
    number
}

fn key_pair(access_key_id: &str, secret: &str) -> Option<EcdsaKeyPair> {
    let private = private_key(access_key_id, secret)?;
    let der = [EC_PRIVATE_KEY.as_slice(), &private, &CURVE].concat();
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).ok()
}

/// Whether `signature`, in hexadecimal, is that of `text` by the owner of the access key.
pub(crate) fn verify(access_key_id: &str, secret: &str, text: &str, signature: &str) -> bool {
    let Some(pair) = key_pair(access_key_id, secret) else { return false };
    let Some(signature) = unhex(signature) else { return false };
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    key.verify(text.as_bytes(), &signature).is_ok()
}

/// The longest signature of this curve, in hexadecimal.
const SIGNATURE_CHARS_MAX: usize = 144;

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > SIGNATURE_CHARS_MAX || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use base::Timestamp;
    use http::HeaderMap;

    use super::super::canonical::{canonical_request, string_to_sign};
    use super::super::key::hex;
    use super::super::{Claim, EMPTY_SHA256, KeyCache, Parts, SigV4Error};
    use super::*;

    #[test]
    fn keys_are_those_of_awss_own_vector() {
        let (id, secret) = ("AKISORANDOMAASORANDOM", "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom");
        let private = private_key(id, secret).unwrap();
        assert_eq!(
            hex(&private),
            "7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd"
        );
        let public = key_pair(id, secret).unwrap();
        assert_eq!(
            hex(public.public_key().as_ref()),
            "0415d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb\
             0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0"
        );
        let example = key_pair("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap();
        assert_eq!(
            hex(example.public_key().as_ref()),
            "04b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1\
             865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518"
        );
    }

    const ID: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// A request that is signed for `regions`; `changed` is what it claims instead.
    fn outcome(regions: &str, changed: Option<&str>, signed: &str) -> Result<Claim, SigV4Error> {
        let mut headers = HeaderMap::new();
        headers.insert("host", "example.amazonaws.com".parse().unwrap());
        headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        headers.insert("x-amz-region-set", regions.parse().unwrap());
        let parts =
            Parts { method: "GET", path: "/", query: "", authority: None, headers: &headers };
        let names: Vec<String> = signed.split(';').map(str::to_owned).collect();
        let canonical = canonical_request(&parts, "service", &names, EMPTY_SHA256);
        let scope = "20150830/service/aws4_request";
        let text = string_to_sign(ALGORITHM_A, "20150830T123600Z", scope, &canonical);
        let pair = key_pair(ID, SECRET).unwrap();
        let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        let authorization = format!(
            "{ALGORITHM_A} Credential={ID}/{scope}, SignedHeaders={signed}, Signature={}",
            hex(signature.as_ref())
        );
        let mut headers = headers.clone();
        headers.insert("authorization", authorization.parse().unwrap());
        if let Some(changed) = changed {
            headers.insert("x-amz-region-set", changed.parse().unwrap());
        }
        let parts = Parts { headers: &headers, ..parts };
        let claim = Claim::parse(&parts)?.unwrap();
        claim.check_scope("us-east-1", &["service"])?;
        let now: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
        let keys = KeyCache::new();
        super::super::verify(&claim, SECRET, &parts, EMPTY_SHA256, now, &keys)?;
        Ok(claim)
    }

    const ALL: &str = "host;x-amz-date;x-amz-region-set";

    #[test]
    fn a_signature_holds_in_the_regions_that_it_names() {
        for regions in ["us-east-1", "*", "us-*", "eu-west-1,us-east-1", "eu-*, us-*"] {
            let claim = outcome(regions, None, ALL).unwrap();
            assert_eq!((claim.asymmetric, &*claim.service), (true, "service"), "{regions}");
        }
        for regions in ["eu-west-1", "us-west-*", "us-*-1", "us-east-12"] {
            let refused = outcome(regions, None, ALL);
            assert!(matches!(refused, Err(SigV4Error::WrongRegion { .. })), "{regions}");
        }
    }

    #[test]
    fn its_regions_cannot_be_changed_or_left_unsigned() {
        let changed = outcome("eu-west-1", Some("us-east-1"), ALL);
        assert!(matches!(changed, Err(SigV4Error::Mismatch(_))), "{changed:?}");
        let unsigned = outcome("us-east-1", None, "host;x-amz-date");
        assert!(matches!(unsigned, Err(SigV4Error::HeadersNotSigned(_))), "{unsigned:?}");
    }
}
