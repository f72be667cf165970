//! Request bodies: collected up to a bound, or passed on as they arrive.

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use protocol::ServiceError;

/// The longest body that is held in memory. CloudFormation templates, Lambda archives and
/// parameter values all fit; object bytes are streamed instead.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// The whole body.
pub(crate) async fn collect(body: Incoming) -> Result<Bytes, ServiceError> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ServiceError::new("RequestEntityTooLargeException", "Request body is too large")
                .status(413))
        }
        Err(error) => Err(ServiceError::new(
            "IncompleteBody",
            format!("The request body ended early: {error}"),
        )),
    }
}
