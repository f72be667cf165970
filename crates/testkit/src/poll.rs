//! Waiting for a condition, never for time.

use std::time::Duration;

/// How long [`until`] waits before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` gives a value and returns it.
///
/// # Panics
///
/// When it gave none within [`PATIENCE`]; `what` says what was waited for.
pub async fn until<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    const STEP: Duration = Duration::from_millis(5);
    let waited = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(STEP).await;
        }
    };
    match tokio::time::timeout(PATIENCE, waited).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}
