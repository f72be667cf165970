//! For built-in programs: the control socket that the zone supervisor holds the other end of.
//!
//! The supervisor, not the control plane, is at the other end, so a built-in keeps its
//! configuration and goes on serving while the control plane is away.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::sandbox::syscall;
use crate::wire::frame_length;

/// The descriptor of the control socket in a built-in program.
const CONTROL: i32 = 3;

/// A built-in program's control socket.
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Call {
    number: u64,
    /// What was sent with [`crate::Machine::call`].
    pub message: Vec<u8>,
}

impl Control {
    /// Takes the socket that the supervisor left at descriptor 3. Call it once, inside a runtime,
    /// before anything else opens descriptors.
    ///
    /// # Errors
    ///
    /// When there is no such socket: the program was not started by a supervisor.
    pub fn inherit() -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(syscall::take_inherited(CONTROL)?);
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)? })
    }

    /// The next request; None when the supervisor is gone, and then the program should end.
    ///
    /// # Errors
    ///
    /// When the socket fails or carries what no supervisor sends.
    pub async fn receive(&mut self) -> io::Result<Option<Call>> {
        let mut header = [0; 4];
        match self.stream.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = frame_length(header)?;
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).await?;
        let too_short = || io::Error::new(io::ErrorKind::InvalidData, "frame too short");
        let (number, message) = frame.split_first_chunk::<8>().ok_or_else(too_short)?;
        Ok(Some(Call { number: u64::from_be_bytes(*number), message: message.to_vec() }))
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// When the socket fails.
    pub async fn answer(&mut self, call: Call, answer: &[u8]) -> io::Result<()> {
        let length = answer.len().saturating_add(8);
        let length = u32::try_from(length)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "answer too large"))?;
        let mut frame = Vec::with_capacity(answer.len().saturating_add(12));
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&call.number.to_be_bytes());
        frame.extend_from_slice(answer);
        self.stream.write_all(&frame).await
    }
}
