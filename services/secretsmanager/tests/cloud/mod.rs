//! What the tests of Secrets Manager share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use kernel::ServiceError;
use kernel::cipher::Cipher;
use secretsmanager_api::{CreateSecretInput, GetSecretValueInput};
use testkit::{Cloud, TestClient};

struct Counter(AtomicU8);

impl base::Random for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

pub(crate) async fn start() -> Cloud {
    let cipher = Cipher::new([1; 32], Arc::new(Counter(AtomicU8::new(1))));
    Cloud::start(vec![
        kms::service(kms::Drivers { cipher: cipher.clone() }).into(),
        secretsmanager::service(secretsmanager::Drivers { cipher }).into(),
    ])
    .await
}

pub(crate) fn create(name: &str, value: &str) -> CreateSecretInput {
    CreateSecretInput {
        name: name.to_owned(),
        secret_string: Some(value.to_owned()),
        client_request_token: Some("token-token-token-token-token-token".to_owned()),
        ..CreateSecretInput::default()
    }
}

pub(crate) async fn get(
    client: &TestClient,
    id: &str,
    stage: Option<&str>,
) -> Result<String, String> {
    let input = GetSecretValueInput {
        secret_id: id.to_owned(),
        version_stage: stage.map(str::to_owned),
        ..GetSecretValueInput::default()
    };
    match client.call(input).await {
        Ok(output) => Ok(output.secret_string.unwrap_or_default()),
        Err(error) => Err(error.code),
    }
}

/// The code of a refusal; "" when the call was served.
pub(crate) fn code<T>(result: Result<T, ServiceError>) -> String {
    result.err().map(|error| error.code).unwrap_or_default()
}
