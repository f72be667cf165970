//! A body that is read or produced while it travels, held in a value that can be cloned.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// The body inside a [`ByteStream`] and of a response.
pub type StreamBody = UnsyncBoxBody<Bytes, io::Error>;

/// A handle to a body that can be taken once; clones share it.
#[derive(Clone)]
pub struct ByteStream {
    body: Arc<Mutex<Option<StreamBody>>>,
    length: Option<u64>,
}

impl ByteStream {
    /// A stream of the bytes of `body`.
    pub fn from_body<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let length = body.size_hint().exact();
        let boxed = body.map_err(io::Error::other).boxed_unsync();
        Self { body: Arc::new(Mutex::new(Some(boxed))), length }
    }

    /// The same stream with a length that the sender announced.
    #[must_use]
    pub fn with_length(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }

    /// How many bytes will come, where that is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes the body; `None` when it was taken before.
    pub fn take(&self) -> Option<StreamBody> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads the whole body, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// When the body was taken before, breaks, or is longer than `limit`.
    pub async fn collect(&self, limit: usize) -> io::Result<Bytes> {
        let mut body = self.take().ok_or_else(|| io::Error::other("the body was read before"))?;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if data.len() > limit.saturating_sub(whole.len()) {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("the body is longer than {limit} bytes"),
                ));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}

impl From<Bytes> for ByteStream {
    fn from(bytes: Bytes) -> Self {
        Self::from_body(Full::new(bytes))
    }
}

impl Default for ByteStream {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl PartialEq for ByteStream {
    /// Two streams are equal when they are the same body.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("length", &self.length).finish_non_exhaustive()
    }
}
