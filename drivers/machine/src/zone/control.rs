//! The supervisor's end of a built-in program's control socket.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::wire::frame_length;

/// Asks a program, one request at a time.
pub(super) struct ControlClient {
    stream: UnixStream,
    number: u64,
    /// What was read of an answer that is not complete yet.
    buffer: Vec<u8>,
    broken: bool,
}

impl ControlClient {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, number: 0, buffer: Vec::new(), broken: false }
    }

    /// Sends `message` and waits at most `timeout` for its answer. Answers to earlier requests that
    /// came too late are passed over.
    pub(super) fn call(&mut self, message: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
        let begun = Instant::now();
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.number = self.number.wrapping_add(1);
        self.send(message, timeout)?;
        loop {
            while let Some(frame) = self.take_frame()? {
                if let Some((number, answer)) = frame.split_first_chunk::<8>()
                    && u64::from_be_bytes(*number) == self.number
                {
                    return Ok(answer.to_vec());
                }
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16 << 10];
            let count = match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                other => other?,
            };
            self.buffer.extend(chunk.iter().take(count));
        }
    }

    fn send(&mut self, message: &[u8], timeout: Duration) -> io::Result<()> {
        let length = u32::try_from(message.len().saturating_add(8))
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut frame = Vec::with_capacity(message.len().saturating_add(12));
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&self.number.to_be_bytes());
        frame.extend_from_slice(message);
        self.stream.set_write_timeout(Some(timeout))?;
        // A request written in part cannot be taken back.
        self.stream.write_all(&frame).inspect_err(|_| self.broken = true)
    }

    fn take_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(header) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let end = frame_length(*header)?.saturating_add(4);
        if self.buffer.len() < end {
            return Ok(None);
        }
        let rest = self.buffer.split_off(end);
        let frame = std::mem::replace(&mut self.buffer, rest);
        Ok(Some(frame.get(4..).unwrap_or_default().to_vec()))
    }
}
