//! The checksums that S3 objects and their uploads carry.
//!
//! AWS: "Checking object integrity in Amazon S3".

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;

/// A checksum algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-32 as in zlib.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in API members, as `CRC64NVME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries it, as `x-amz-checksum-crc64nvme`.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithm called `name` in API members, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The algorithm whose header is `name`, in any case.
    pub fn of_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    state: State,
}

#[derive(Clone)]
enum State {
    Crc(Box<crc_fast::Digest>),
    Sha(digest::Context),
}

impl Checksum {
    /// A checksum of nothing yet.
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |algorithm| State::Crc(Box::new(crc_fast::Digest::new(algorithm)));
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => {
                State::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
            }
            ChecksumAlgorithm::Sha256 => State::Sha(digest::Context::new(&digest::SHA256)),
        };
        Self { algorithm, state }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(bytes),
            State::Sha(context) => context.update(bytes),
        }
    }

    /// The checksum's bytes, in network order.
    pub fn finish(self) -> Vec<u8> {
        match self.state {
            State::Sha(context) => context.finish().as_ref().to_vec(),
            State::Crc(digest) => {
                let bytes = digest.finalize().to_be_bytes();
                let width = match self.algorithm {
                    ChecksumAlgorithm::Crc64Nvme => 8,
                    ChecksumAlgorithm::Crc32
                    | ChecksumAlgorithm::Crc32c
                    | ChecksumAlgorithm::Sha1
                    | ChecksumAlgorithm::Sha256 => 4,
                };
                bytes.get(bytes.len() - width..).unwrap_or_default().to_vec()
            }
        }
    }

    /// The checksum in base64, the form of headers.
    pub fn finish_base64(self) -> String {
        STANDARD.encode(self.finish())
    }

    /// Whether the checksum is `expected`, in base64.
    pub fn matches(self, expected: &str) -> bool {
        STANDARD.decode(expected.trim()).is_ok_and(|expected| expected == self.finish())
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Checksum").field(&self.algorithm).finish()
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn checksums_equal_published_check_values() {
        // The catalogue's check value of each CRC, and RFC 3174 and FIPS 180-4 for the hashes.
        for (algorithm, want) in [
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (ChecksumAlgorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                ChecksumAlgorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ] {
            let mut checksum = Checksum::new(algorithm);
            checksum.update(b"1234");
            checksum.update(b"56789");
            assert_eq!(crate::sigv4::key::hex(&checksum.clone().finish()), want, "{algorithm:?}");
            let text = checksum.clone().finish_base64();
            assert!(checksum.clone().matches(&text));
            assert!(!checksum.clone().matches("AAAA"));
            assert!(!checksum.matches("no base64!"));
            assert_eq!(ChecksumAlgorithm::of_header(algorithm.header()), Some(algorithm));
            assert_eq!(ChecksumAlgorithm::of_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(ChecksumAlgorithm::of_header("x-amz-checksum-md5"), None);
    }
}
