//! What the tests of KMS share.
#![allow(dead_code, reason = "each test binary uses its part")]
#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernel::ServiceError;
use kernel::cipher::Cipher;
use kms_api::{CreateKeyInput, KeyMetadata, KeySpec, KeyUsageType};
use testkit::{Cloud, TestClient};

/// Bytes that differ from call to call.
pub(crate) struct Counter(AtomicU64);

impl base::Random for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        bytes.iter_mut().zip(n.iter().cycle()).for_each(|(byte, n)| *byte = *n);
    }
}

pub(crate) fn cipher() -> Cipher {
    Cipher::new([1; 32], Arc::new(Counter(AtomicU64::new(1))))
}

pub(crate) async fn start() -> Cloud {
    Cloud::start(vec![kms::service(kms::Drivers { cipher: cipher() }).into()]).await
}

pub(crate) fn symmetric() -> CreateKeyInput {
    CreateKeyInput::default()
}

pub(crate) fn of(spec: KeySpec, usage: KeyUsageType) -> CreateKeyInput {
    CreateKeyInput { key_spec: Some(spec), key_usage: Some(usage), ..CreateKeyInput::default() }
}

pub(crate) async fn make(client: &TestClient, input: CreateKeyInput) -> KeyMetadata {
    client.call(input).await.unwrap().key_metadata.unwrap()
}

/// The code of a refusal; "" when the call was served.
pub(crate) fn code<T>(result: Result<T, ServiceError>) -> String {
    result.err().map(|error| error.code).unwrap_or_default()
}
