//! A chunked body as a body: what an S3 upload reads.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use super::chunked::ChunkedDecoder;
use super::error::SigV4Error;

/// Decodes the chunks of an inner body. Its frames are the decoded bytes, and at the end the
/// trailers.
#[derive(Debug)]
pub struct ChunkedBody<B> {
    inner: B,
    decoder: Option<ChunkedDecoder>,
    waiting: Bytes,
    length: u64,
    read: u64,
}

/// Why a chunked body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ChunkedBodyError<E> {
    /// The connection failed.
    #[error("the body could not be read")]
    Body(#[source] E),
    /// The body is not what was signed.
    #[error("the body is not to be trusted")]
    SigV4(#[source] SigV4Error),
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, ChunkedBodyError<E>>>>;

impl<B> ChunkedBody<B> {
    /// Reads `inner` through `decoder`.
    pub fn new(inner: B, decoder: ChunkedDecoder) -> Self {
        let length = decoder.decoded_length();
        Self { inner, decoder: Some(decoder), waiting: Bytes::new(), length, read: 0 }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ChunkedBody<B> {
    type Data = Bytes;
    type Error = ChunkedBodyError<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<B::Error> {
        let this = self.get_mut();
        loop {
            let Some(decoder) = &mut this.decoder else { return Poll::Ready(None) };
            match decoder.push(&mut this.waiting) {
                Err(error) => return this.fail(ChunkedBodyError::SigV4(error)),
                Ok(Some(data)) => {
                    this.read += u64::try_from(data.len()).unwrap_or(u64::MAX);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(None) => {}
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Err(error)) => return this.fail(ChunkedBodyError::Body(error)),
                // Trailers of HTTP itself are no part of the encoding.
                Some(Ok(frame)) => this.waiting = frame.into_data().unwrap_or_default(),
                None => return this.end(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length.saturating_sub(self.read))
    }
}

impl<B: Body<Data = Bytes>> ChunkedBody<B> {
    fn fail(&mut self, error: ChunkedBodyError<B::Error>) -> Polled<B::Error> {
        self.decoder = None;
        Poll::Ready(Some(Err(error)))
    }

    fn end(&mut self) -> Polled<B::Error> {
        let Some(decoder) = self.decoder.take() else { return Poll::Ready(None) };
        match decoder.finish() {
            Err(error) => self.fail(ChunkedBodyError::SigV4(error)),
            Ok(trailers) if trailers.is_empty() => Poll::Ready(None),
            Ok(trailers) => {
                let mut headers = HeaderMap::new();
                for (name, value) in trailers {
                    let (Ok(name), Ok(value)) =
                        (HeaderName::try_from(name), HeaderValue::try_from(value))
                    else {
                        return self.fail(ChunkedBodyError::SigV4(SigV4Error::MalformedTrailer));
                    };
                    headers.insert(name, value);
                }
                Poll::Ready(Some(Ok(Frame::trailers(headers))))
            }
        }
    }
}
