//! Netlink in the small: messages are written into a batch, sent in one call, and answered before
//! that call returns. It serves both families that the fabric speaks, rtnetlink and nf_tables.

use std::borrow::Cow;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
    sockopt,
};

use crate::{Error, Result};

/// The request flag of every message.
const REQUEST: u16 = 0x1;
/// Asks for an answer even if all went well.
const ACK: u16 = 0x4;
/// Asks for all objects.
const DUMP: u16 = 0x300;
/// Replaces the object if it exists.
pub(crate) const REPLACE: u16 = 0x100;
/// Fails if the object exists.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// Makes the object if it does not exist.
pub(crate) const CREATE: u16 = 0x400;
/// Adds behind the objects that exist.
pub(crate) const APPEND: u16 = 0x800;

const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// How much the kernel may be told, and may tell, in one go.
const BUFFER_BYTES: usize = 32 << 20;
/// Longer than any datagram that the kernel sends for a dump.
const RECEIVE_BYTES: usize = 256 << 10;

/// Which part of the kernel a socket talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Links, addresses, routes.
    Route,
    /// nf_tables and connection tracking.
    Filter,
}

/// Which refusals of a message are as good as success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tolerate {
    /// None.
    Nothing,
    /// The object is there already.
    Present,
    /// The object is gone already.
    Absent,
}

impl Tolerate {
    fn covers(self, error: Errno) -> bool {
        match self {
            Self::Nothing => false,
            Self::Present => error == Errno::EXIST,
            Self::Absent => matches!(
                error,
                Errno::NOENT | Errno::SRCH | Errno::NODEV | Errno::ADDRNOTAVAIL | Errno::NETDOWN
            ),
        }
    }
}

/// Messages that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    messages: Vec<Sent>,
    last: usize,
}

#[derive(Debug)]
struct Sent {
    what: Cow<'static, str>,
    tolerate: Tolerate,
}

impl Batch {
    /// Adds a message; `what` names the step in an error.
    pub(crate) fn message(
        &mut self,
        what: impl Into<Cow<'static, str>>,
        tolerate: Tolerate,
        (kind, flags): (u16, u16),
        body: impl FnOnce(&mut Body<'_>),
    ) {
        let start = self.bytes.len();
        let sequence = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        body(&mut Body(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        patch(&mut self.bytes, start, &length.to_ne_bytes());
        self.messages.push(Sent { what: what.into(), tolerate });
        self.last = start;
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Asks for an answer to the message written last, so that its success is seen.
    fn acknowledge_last(&mut self) {
        let at = self.last + 6;
        let flags = self.bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
        let flags = u16::from_ne_bytes(flags.unwrap_or_default()) | ACK;
        patch(&mut self.bytes, at, &flags.to_ne_bytes());
    }
}

fn patch(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// The part of a message behind its header, while it is written.
pub(crate) struct Body<'a>(pub(crate) &'a mut Vec<u8>);

impl Body<'_> {
    /// A fixed structure, whose length is a multiple of four.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// An attribute with any value.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// A number in the machine's byte order, as rtnetlink has them.
    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A number in network byte order, as nf_tables has them.
    pub(crate) fn big(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A text with its end mark.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.put(kind, &bytes);
    }

    /// Attributes inside an attribute; together less than 64 KiB.
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Body<'_>)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | NESTED).to_ne_bytes());
        body(&mut Body(self.0));
        let length = u16::try_from(self.0.len() - start).expect("writers keep nests below 64 KiB");
        patch(self.0, start, &length.to_ne_bytes());
    }
}

/// A message that the kernel sent.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Its type.
    pub(crate) kind: u16,
    /// What is behind its header.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first `N` bytes, the fixed structure.
    pub(crate) fn fixed<const N: usize>(&self) -> Option<[u8; N]> {
        self.body.get(..N)?.try_into().ok()
    }

    /// The attributes behind a fixed structure of `skip` bytes.
    pub(crate) fn attributes(&self, skip: usize) -> Attributes<'_> {
        Attributes(self.body.get(skip..).unwrap_or_default())
    }
}

/// Reads attributes one after another: kind and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?) & KIND_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A value that should be a number in the machine's byte order.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
}

/// A socket to the kernel, in the namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub(crate) fn open(family: Family) -> Result<Self> {
        let protocol = match family {
            Family::Route => None,
            Family::Filter => Some(netlink::NETFILTER),
        };
        let open = || {
            let flags = SocketFlags::CLOEXEC;
            let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
            sockopt::set_socket_send_buffer_size_force(&fd, BUFFER_BYTES)?;
            sockopt::set_socket_recv_buffer_size_force(&fd, BUFFER_BYTES)?;
            Ok::<_, Errno>(fd)
        };
        let fd = open().map_err(|error| Error::kernel("open a netlink socket", error))?;
        Ok(Self { fd, buffer: Vec::new() })
    }

    /// Sends a batch of independent messages and looks at every refusal.
    ///
    /// # Errors
    ///
    /// The first refusal that its message does not tolerate. Later messages were tried, too.
    pub(crate) fn send(&mut self, mut batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        batch.acknowledge_last();
        let what = |sequence: u32| {
            let index = usize::try_from(sequence).unwrap_or(usize::MAX);
            batch.messages.get(index).or(batch.messages.last())
        };
        let failed = |error| Error::kernel("send to the kernel", error);
        send(&self.fd, &batch.bytes, SendFlags::empty()).map_err(failed)?;
        let mut first = None;
        for (sequence, answer) in self.receive(true).map_err(failed)? {
            let error = (answer.kind == ERROR).then(|| answer.fixed().map(i32::from_ne_bytes));
            let Some(code @ ..0) = error.flatten() else { continue };
            let error = Errno::from_raw_os_error(-code);
            if let Some(sent) = what(sequence)
                && !sent.tolerate.covers(error)
                && first.is_none()
            {
                first = Some(Error::kernel(sent.what.to_string(), error));
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Asks for all objects of a kind.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub(crate) fn dump(
        &mut self,
        what: &'static str,
        kind: u16,
        body: impl FnOnce(&mut Body<'_>),
    ) -> Result<Vec<Answer>> {
        let mut batch = Batch::default();
        batch.message(what, Tolerate::Nothing, (kind, DUMP), body);
        let failed = |error| Error::kernel(what, error);
        send(&self.fd, &batch.bytes, SendFlags::empty()).map_err(failed)?;
        let mut found = Vec::new();
        loop {
            for (_, answer) in self.receive(false).map_err(failed)? {
                match (answer.kind, answer.fixed().map(i32::from_ne_bytes)) {
                    (ERROR | DONE, Some(code @ ..0)) => {
                        return Err(failed(Errno::from_raw_os_error(-code)));
                    }
                    (ERROR | DONE, _) => return Ok(found),
                    _ => found.push(answer),
                }
            }
        }
    }

    /// Takes what the kernel has said: everything that waits, or one datagram. The kernel works
    /// off a request inside `send`, so an empty queue means that there is nothing more to come.
    fn receive(&mut self, all: bool) -> rustix::io::Result<Vec<(u32, Answer)>> {
        self.buffer.resize(RECEIVE_BYTES, 0);
        let mut answers = Vec::new();
        let flags = if all { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        loop {
            match recv(&self.fd, &mut *self.buffer, flags) {
                Ok((length, _)) => {
                    split(self.buffer.get(..length).unwrap_or_default(), &mut answers);
                }
                Err(Errno::AGAIN) => return Ok(answers),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            }
            if !all {
                return Ok(answers);
            }
        }
    }
}

/// Cuts a datagram into messages.
fn split(mut datagram: &[u8], answers: &mut Vec<(u32, Answer)>) {
    while let Some(header) = datagram.get(..HEADER) {
        let length = number(header).and_then(|length| usize::try_from(length).ok());
        let kind = header.get(4..6).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
        let sequence = header.get(8..).and_then(number);
        let body = length.and_then(|length| datagram.get(HEADER..length));
        let (Some(length), Some(kind), Some(sequence), Some(body)) = (length, kind, sequence, body)
        else {
            return;
        };
        answers.push((sequence, Answer { kind, body: body.to_vec() }));
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}
