//! The checksums of objects and parts, and how those of parts make that of the whole.
//!
//! AWS: "Checking object integrity in Amazon S3".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, checksum_combine};
use protocol::sigv4::{Checksum, ChecksumAlgorithm as Algorithm};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A checksum as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    /// As `CRC64NVME`.
    pub(crate) algorithm: String,
    /// In base64; with `-N` when it is made of the checksums of N parts.
    pub(crate) value: String,
    pub(crate) composite: bool,
}

impl Sum {
    pub(crate) fn new(algorithm: Algorithm, value: String) -> Self {
        Self { algorithm: algorithm.name().to_owned(), value, composite: false }
    }

    pub(crate) fn kind(&self) -> s3_api::ChecksumType {
        match self.composite {
            true => s3_api::ChecksumType::Composite,
            false => s3_api::ChecksumType::FullObject,
        }
    }
}

/// The checksum members of a generated input, as pairs.
macro_rules! given {
    ($input:expr) => {{
        let unknown = [
            ("x-amz-checksum-sha512", $input.checksum_sha512.is_some()),
            ("x-amz-checksum-md5", $input.checksum_md5.is_some()),
            ("x-amz-checksum-xxhash64", $input.checksum_xxhash64.is_some()),
            ("x-amz-checksum-xxhash3", $input.checksum_xxhash3.is_some()),
            ("x-amz-checksum-xxhash128", $input.checksum_xxhash128.is_some()),
        ];
        $crate::checksum::refuse_unknown(&unknown).map(|()| {
            use protocol::sigv4::ChecksumAlgorithm as Algorithm;
            [
                (Algorithm::Crc32, $input.checksum_crc32.clone()),
                (Algorithm::Crc32c, $input.checksum_crc32_c.clone()),
                (Algorithm::Crc64Nvme, $input.checksum_crc64_nvme.clone()),
                (Algorithm::Sha1, $input.checksum_sha1.clone()),
                (Algorithm::Sha256, $input.checksum_sha256.clone()),
            ]
            .into_iter()
            .filter_map(|(algorithm, value)| Some((algorithm, value?)))
            .collect::<Vec<_>>()
        })
    }};
}
pub(crate) use given;

/// Sets the checksum member of a generated output.
macro_rules! show {
    ($output:expr, $sum:expr) => {{
        let sum: &$crate::checksum::Sum = $sum;
        let value = Some(sum.value.clone());
        match sum.algorithm.as_str() {
            "CRC32" => $output.checksum_crc32 = value,
            "CRC32C" => $output.checksum_crc32_c = value,
            "SHA1" => $output.checksum_sha1 = value,
            "SHA256" => $output.checksum_sha256 = value,
            _ => $output.checksum_crc64_nvme = value,
        }
    }};
}
pub(crate) use show;

/// Refuses checksums by algorithms that are not computed here.
pub(crate) fn refuse_unknown(unknown: &[(&'static str, bool)]) -> Result<()> {
    match unknown.iter().find(|(_, present)| *present) {
        Some((name, _)) => Err(Error::NotImplemented(name)),
        None => Ok(()),
    }
}

/// The algorithm that a request names.
pub(crate) fn algorithm_of(named: Option<s3_api::ChecksumAlgorithm>) -> Result<Option<Algorithm>> {
    let Some(named) = named else { return Ok(None) };
    let found = Algorithm::of_name(named.as_str());
    found.map(Some).ok_or(Error::NotImplemented("x-amz-checksum-algorithm"))
}

/// The algorithm of a kept checksum.
pub(crate) fn by_name(name: &str) -> Algorithm {
    Algorithm::of_name(name).unwrap_or(Algorithm::Crc64Nvme)
}

/// Refuses a value that is no checksum of `algorithm`.
pub(crate) fn check_form(algorithm: Algorithm, value: &str) -> Result<()> {
    let length = match algorithm {
        Algorithm::Crc32 | Algorithm::Crc32c => 4,
        Algorithm::Crc64Nvme => 8,
        Algorithm::Sha1 => 20,
        Algorithm::Sha256 => 32,
    };
    if STANDARD.decode(value.trim()).is_ok_and(|bytes| bytes.len() == length) {
        return Ok(());
    }
    let text = format!("Value for {} header is invalid.", algorithm.header());
    Err(Error::InvalidRequest(text))
}

/// The text of a checksum that does not match.
pub(crate) fn mismatch(algorithm: Algorithm) -> Error {
    Error::BadDigest(format!(
        "The {} you specified did not match the calculated checksum.",
        algorithm.name()
    ))
}

/// The checksum of the whole that parts with these checksums and sizes make.
pub(crate) fn of_parts(algorithm: Algorithm, composite: bool, parts: &[(Vec<u8>, u64)]) -> Sum {
    let crc = match algorithm {
        Algorithm::Crc32 => Some((CrcAlgorithm::Crc32IsoHdlc, 4)),
        Algorithm::Crc32c => Some((CrcAlgorithm::Crc32Iscsi, 4)),
        Algorithm::Crc64Nvme => Some((CrcAlgorithm::Crc64Nvme, 8)),
        Algorithm::Sha1 | Algorithm::Sha256 => None,
    };
    if let (false, Some((crc, width))) = (composite, crc) {
        let mut numbers = parts.iter().map(|(bytes, size)| (number(bytes), *size));
        let (first, _) = numbers.next().unwrap_or_default();
        let whole = numbers.fold(first, |sum, (next, size)| checksum_combine(crc, sum, next, size));
        let bytes = whole.to_be_bytes();
        let value = STANDARD.encode(bytes.get(8 - width..).unwrap_or_default());
        return Sum::new(algorithm, value);
    }
    let mut checksum = Checksum::new(algorithm);
    parts.iter().for_each(|(bytes, _)| checksum.update(bytes));
    let value = format!("{}-{}", checksum.finish_base64(), parts.len());
    Sum { composite: true, ..Sum::new(algorithm, value) }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The bytes of a part's checksum.
pub(crate) fn raw(sum: &Sum) -> Vec<u8> {
    STANDARD.decode(&sum.value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_parts_make_that_of_the_whole() {
        let (a, b) = (b"hello ".repeat(1000), b"world".repeat(777));
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let sum = |data: &[u8]| {
                let mut sum = Checksum::new(algorithm);
                sum.update(data);
                sum.finish()
            };
            let parts = [(sum(&a), a.len() as u64), (sum(&b), b.len() as u64)];
            let whole = sum(&[a.clone(), b.clone()].concat());
            assert_eq!(of_parts(algorithm, false, &parts).value, STANDARD.encode(whole));
            assert!(of_parts(algorithm, true, &parts).value.ends_with("-2"));
        }
    }
}
