//! Bodies in chunks.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::*;
use crate::sigv4::{
    Checksum, ChecksumAlgorithm, ChunkMode, ChunkSigner, ChunkedBody, ChunkedBodyError,
    ChunkedDecoder, Payload, Signed, sign,
};

const NOW: &str = "20130524T000000Z";

fn upload(mode: ChunkMode, length: usize, trailer: Option<&str>) -> (Call, Signed) {
    let length = length.to_string();
    let mut call = Call::new(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        &[
            ("host", "s3.amazonaws.com"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", &length),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
    );
    if let Some(trailer) = trailer {
        call.append("x-amz-trailer", trailer);
    }
    let signed = sign(&call.parts(), Payload::Chunks(mode), &KEY, &S3, time(NOW));
    (call, signed)
}

fn encode(
    mode: ChunkMode,
    seed: &Verified,
    chunks: &[&[u8]],
    trailers: &[(&str, &str)],
) -> Vec<u8> {
    let mut signer = ChunkSigner::new(mode, seed);
    let mut out = Vec::new();
    for chunk in chunks {
        for piece in signer.chunk(Bytes::copy_from_slice(chunk)) {
            out.extend_from_slice(&piece);
        }
    }
    let trailers: Vec<_> =
        trailers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    out.extend_from_slice(&signer.finish(&trailers));
    out
}

type Decoded = (Vec<u8>, Vec<(String, String)>);

fn decode(
    mode: ChunkMode,
    call: &Call,
    seed: &Verified,
    body: &[u8],
    step: usize,
) -> Result<Decoded, SigV4Error> {
    let mut decoder = ChunkedDecoder::new(mode, &call.parts(), Some(seed))?;
    let mut out = Vec::new();
    for piece in body.chunks(step) {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(data) = decoder.push(&mut input)? {
            out.extend_from_slice(&data);
        }
    }
    Ok((out, decoder.finish()?))
}

/// AWS: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
/// Chunks", Example: PUT Object.
#[test]
fn the_chunked_example_has_its_published_signatures() {
    let length = 66_560.to_string();
    let call = Call::new(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        &[
            ("host", "s3.amazonaws.com"),
            ("content-encoding", "aws-chunked"),
            ("content-length", "66824"),
            ("x-amz-decoded-content-length", &length),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
    );
    let mode = ChunkMode::Signed;
    let signed = sign(&call.parts(), Payload::Chunks(mode), &KEY, &S3, time(NOW));
    assert_eq!(
        signature_of(&signed.headers),
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    );
    let data = vec![b'a'; 66_560];
    let body = encode(mode, &signed.seed, &[&data[..65_536], &data[65_536..]], &[]);
    assert_eq!(body.len(), 66_824);
    let text = String::from_utf8(body.clone()).unwrap();
    for line in [
        "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
        "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    let call = call.signed(&signed.headers);
    let seed = call.verify(KEY.secret, b"", time(NOW)).unwrap();
    for step in [1, 7, 4096, 1 << 20] {
        let (decoded, trailers) = decode(mode, &call, &seed, &body, step).unwrap();
        assert!(decoded == data && trailers.is_empty(), "{step}");
    }
}

/// AWS: "... Transferring Payload in Multiple Chunks with trailing headers", Example.
#[test]
fn the_trailer_example_has_its_published_signatures() {
    let mode = ChunkMode::SignedTrailer;
    let (call, signed) = upload(mode, 66_560, Some("x-amz-checksum-crc32c"));
    assert_eq!(
        signature_of(&signed.headers),
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    );
    let data = vec![b'a'; 66_560];
    let mut crc = Checksum::new(ChecksumAlgorithm::Crc32c);
    crc.update(&data);
    let crc = crc.finish_base64();
    let trailers = [("x-amz-checksum-crc32c", crc.as_str())];
    let body = encode(mode, &signed.seed, &[&data[..65_536], &data[65_536..]], &trailers);
    let text = String::from_utf8(body.clone()).unwrap();
    for line in [
        "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n",
        "400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
        "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n",
        "x-amz-checksum-crc32c:sOO8/Q==\r\n",
        "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    let call = call.signed(&signed.headers);
    let seed = call.verify(KEY.secret, b"", time(NOW)).unwrap();
    let (decoded, trailers) = decode(mode, &call, &seed, &body, 1000).unwrap();
    assert!(decoded == data);
    assert_eq!(trailers, [("x-amz-checksum-crc32c".to_owned(), "sOO8/Q==".to_owned())]);
}

/// Bodies that must be refused, each with its reason.
#[test]
fn malformed_bodies_are_refused() {
    let unsigned = ChunkMode::UnsignedTrailer;
    let crc = "x-amz-checksum-crc32";
    let good = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let (call, signed) = upload(unsigned, 5, Some(crc));
    let call = call.signed(&signed.headers);
    let run = |body: &str| decode(unsigned, &call, &signed.seed, body.as_bytes(), 3);
    assert_eq!(run(good).unwrap().0, b"hello");
    // The last empty line may be missing, and lines may end in a bare line feed.
    assert!(run(good.trim_end_matches("\r\n\r\n")).is_err());
    assert!(run(good.strip_suffix("\r\n").unwrap()).is_ok());
    assert!(run(&good.replace("\r\n", "\n")).is_ok());
    let malformed = SigV4Error::MalformedChunk;
    let short = |decoded| SigV4Error::DecodedLength { declared: 5, decoded };
    let wrong = SigV4Error::ChecksumMismatch { algorithm: ChecksumAlgorithm::Crc32 };
    for (body, want) in [
        ("", malformed.clone()),
        ("5\r\nhel", malformed.clone()),
        ("5\r\nhello", malformed.clone()),
        ("5\r\nhello\r\n", malformed.clone()),
        ("5\r\nhelloX\r\n", malformed.clone()),
        ("x\r\n", malformed.clone()),
        ("-1\r\n", malformed.clone()),
        ("+5\r\nhello\r\n", malformed.clone()),
        ("\r\n", malformed.clone()),
        ("fffffffffffffffff\r\n", malformed.clone()),
        ("ffffffffffffffff\r\n", short(u64::MAX)),
        ("6\r\n", short(6)),
        ("4\r\nhell\r\n0\r\n\r\n", short(4)),
        ("5\r\nhello\r\n1\r\n", short(6)),
        ("0\r\n\r\n", short(0)),
        ("5\r\nhello\r\n0\r\n\r\n", SigV4Error::MalformedTrailer),
        ("5\r\nhello\r\n0\r\nx-other:1\r\n\r\n", SigV4Error::MalformedTrailer),
        ("5\r\nhello\r\n0\r\nno colon\r\n\r\n", SigV4Error::MalformedTrailer),
        ("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhw==\r\n\r\n", wrong.clone()),
        ("5\r\nhallo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", wrong.clone()),
        ("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:?\r\n\r\n", wrong),
        (&format!("{good}x\r\n"), malformed.clone()),
        (&"0".repeat(5000), malformed),
    ] {
        assert_eq!(run(body), Err(want), "{body:?}");
    }
}

#[test]
fn a_changed_chunk_is_refused() {
    let mode = ChunkMode::SignedTrailer;
    let crc = "x-amz-checksum-crc32";
    let (call, signed) = upload(mode, 9000, Some(crc));
    let call = call.signed(&signed.headers);
    let data = vec![7; 9000];
    let mut checksum = Checksum::new(ChecksumAlgorithm::Crc32);
    checksum.update(&data);
    let value = checksum.finish_base64();
    let body = encode(mode, &signed.seed, &[&data[..8192], &data[8192..]], &[(crc, &value)]);
    assert!(decode(mode, &call, &signed.seed, &body, 100).is_ok());
    for at in (0..body.len()).step_by(37) {
        let mut changed = body.clone();
        changed[at] ^= 1;
        // A carriage return may be missing, and hexadecimal has two cases: neither is signed.
        if body[at] == b'\r' || body[at].is_ascii_alphabetic() && changed[at] == body[at] ^ 32 {
            continue;
        }
        assert!(decode(mode, &call, &signed.seed, &changed, 100).is_err(), "byte {at}");
    }
    let small = encode(mode, &signed.seed, &[&data[..100], &data[100..]], &[(crc, &value)]);
    assert_eq!(
        decode(mode, &call, &signed.seed, &small, 100),
        Err(SigV4Error::ChunkTooSmall { size: 100 })
    );
    let unsigned = encode(ChunkMode::UnsignedTrailer, &signed.seed, &[&data], &[(crc, &value)]);
    assert_eq!(decode(mode, &call, &signed.seed, &unsigned, 100), Err(SigV4Error::MalformedChunk));
}

#[test]
fn a_length_must_be_declared_and_a_seed_given() {
    let call = Call::new("PUT", "/k", "", &[("host", "h")]);
    let missing = ChunkedDecoder::new(ChunkMode::UnsignedTrailer, &call.parts(), None);
    assert_eq!(missing.err(), Some(SigV4Error::MissingDecodedLength));
    let call = Call::new("PUT", "/k", "", &[("x-amz-decoded-content-length", "5")]);
    let anonymous = ChunkedDecoder::new(ChunkMode::Signed, &call.parts(), None);
    assert_eq!(anonymous.err(), Some(SigV4Error::MissingAuthenticationToken));
    assert!(ChunkedDecoder::new(ChunkMode::UnsignedTrailer, &call.parts(), None).is_ok());
}

/// A body of given frames.
struct Frames(Vec<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(self.0.remove(0)))))
    }
}

#[test]
fn a_body_gives_data_then_trailers() {
    let mode = ChunkMode::UnsignedTrailer;
    let (call, signed) = upload(mode, 5, Some("x-amz-checksum-crc32"));
    let call = call.signed(&signed.headers);
    let read = |body: &str| {
        let decoder = ChunkedDecoder::new(mode, &call.parts(), Some(&signed.seed)).unwrap();
        let frames = body.as_bytes().chunks(4).map(Bytes::copy_from_slice).collect();
        let mut body = ChunkedBody::new(Frames(frames), decoder);
        assert_eq!(body.size_hint().exact(), Some(5));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut data, mut trailers) = (Vec::new(), None);
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut cx) {
            let frame = match frame {
                Ok(frame) => frame,
                Err(ChunkedBodyError::SigV4(error)) => {
                    assert!(body.is_end_stream());
                    return Err(error);
                }
            };
            match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok((data, trailers))
    };
    let (data, trailers) =
        read("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n").unwrap();
    assert_eq!(data, b"hello");
    assert_eq!(trailers.unwrap()["x-amz-checksum-crc32"], "NhCmhg==");
    assert_eq!(read("5\r\nhello\r\n0\r\n"), Err(SigV4Error::MalformedTrailer));
    assert_eq!(read("5\r\nhe"), Err(SigV4Error::MalformedChunk));
}
