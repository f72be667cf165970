//! Request bodies: collected up to a bound, or passed on as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest;
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use protocol::ServiceError;
use protocol::sigv4::SigV4Error;
use protocol::stream::StreamBody;

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

/// A body of `bytes` in the form that streams have.
pub(crate) fn empty(bytes: Bytes) -> StreamBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body that ends with an error unless its SHA-256 is the one that was signed.
pub(crate) struct DeclaredBody {
    inner: StreamBody,
    declared: String,
    hash: Option<digest::Context>,
}

impl DeclaredBody {
    /// `inner`, whose hash was declared as `declared`.
    pub(crate) fn new(inner: StreamBody, declared: String) -> Self {
        Self { inner, declared, hash: Some(digest::Context::new(&digest::SHA256)) }
    }

    /// What is wrong with the bytes that were read, if anything is.
    fn verdict(&mut self) -> Option<std::io::Error> {
        let computed = self.hash.take()?.finish();
        let computed: String = computed.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        if computed == self.declared {
            return None;
        }
        let declared = self.declared.clone();
        Some(std::io::Error::other(SigV4Error::ContentMismatch { declared, computed }))
    }
}

impl Body for DeclaredBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(hash)) = (frame.data_ref(), &mut self.hash) {
                    hash.update(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(self.verdict().map(Err)),
        }
    }
}
