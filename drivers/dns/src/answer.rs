//! From a query's bytes to an answer's.

use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::lookup::{End, View, normal, reversed_address};

/// Bytes of an answer over UDP to a client that does not say that it takes more.
const UDP_PLAIN_BYTES: usize = 512;
/// Bytes of an answer over UDP at most: what crosses every path in one piece.
const UDP_MAX_BYTES: u16 = 1232;
/// How long, in seconds, it may be kept that a name does not exist. Names come and go here.
const MISSING_TTL_SECONDS: u32 = 5;

/// What is to be done with a query.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Send these bytes.
    Now(Message),
    /// Ask others for the query, and put the answer behind what is known already.
    Ask { query: Query, known: Message },
    /// Not a query; there is nobody to answer.
    Silence,
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// Answers a query from what is known.
pub(crate) fn reply(view: &View, turn: &AtomicUsize, bytes: &[u8]) -> Reply {
    let request = match Message::from_vec(bytes) {
        Ok(request) => request,
        Err(_) => return unreadable(bytes),
    };
    if request.metadata.message_type == MessageType::Response {
        return Reply::Silence;
    }
    let mut message = Message::response(request.metadata.id, request.metadata.op_code);
    message.metadata.recursion_desired = request.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX_BYTES);
        message.set_edns(edns);
    }
    if request.metadata.op_code != OpCode::Query {
        return refuse(message, ResponseCode::NotImp);
    }
    let [query] = request.queries.as_slice() else {
        return refuse(message, ResponseCode::FormErr);
    };
    message.add_query(query.clone());
    if query.query_class() != DNSClass::IN {
        return refuse(message, ResponseCode::Refused);
    }
    let name = normal(&query.name().to_ascii());
    if query.query_type() == RecordType::PTR
        && let Some(found) = reversed_address(&name).and_then(|address| view.reverse(address))
    {
        let record = name_of(found).map(|name| RData::PTR(PTR(name)));
        add(&mut message, query.name().clone(), 60, record);
        return Reply::Now(message);
    }
    from_names(view, turn, query, &name, message)
}

/// The bytes of an answer, cut to what its transport carries.
pub(crate) fn encode(message: &Message, transport: Transport, request: &[u8]) -> Vec<u8> {
    let limit = match transport {
        Transport::Tcp => usize::from(u16::MAX),
        Transport::Udp => Message::from_vec(request)
            .ok()
            .and_then(|request| request.edns.map(|edns| edns.max_payload()))
            .map_or(UDP_PLAIN_BYTES, |wanted| {
                usize::from(wanted.min(UDP_MAX_BYTES)).max(UDP_PLAIN_BYTES)
            }),
    };
    match message.to_vec() {
        Ok(bytes) if bytes.len() <= limit => bytes,
        Ok(_) => message.truncate().to_vec().unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "an answer can't be written");
            failure(message).to_vec().unwrap_or_default()
        }
    }
}

/// The same answer as a failure of the server.
pub(crate) fn failure(message: &Message) -> Message {
    let mut failed =
        Message::error_msg(message.metadata.id, message.metadata.op_code, ResponseCode::ServFail);
    failed.metadata.recursion_available = true;
    failed.metadata.recursion_desired = message.metadata.recursion_desired;
    failed.queries.clone_from(&message.queries);
    failed
}

fn from_names(
    view: &View,
    turn: &AtomicUsize,
    query: &Query,
    name: &str,
    mut message: Message,
) -> Reply {
    let found = view.find(name);
    // The question's own spelling is kept, which some clients check.
    let mut owner = Some(query.name().clone());
    let alias_asked = query.query_type() == RecordType::CNAME;
    for (_, target, ttl) in &found.aliases {
        let next = name_of(target);
        if let Some(owner) = owner {
            add(&mut message, owner, *ttl, next.clone().map(|name| RData::CNAME(CNAME(name))));
        }
        owner = next;
        if alias_asked {
            return Reply::Now(message);
        }
    }
    let Some(owner) = owner else { return refuse(message, ResponseCode::ServFail) };
    match found.end {
        End::Records(name, records) => {
            let ttl = records.ttl();
            let wants = |kind: RecordType| {
                query.query_type() == kind || query.query_type() == RecordType::ANY
            };
            if wants(RecordType::A) {
                let mut addresses = records.addresses;
                let count = addresses.len().max(1);
                addresses.rotate_left(turn.fetch_add(1, Ordering::Relaxed) % count);
                for address in addresses {
                    add(&mut message, owner.clone(), ttl, Some(RData::A(A(address))));
                }
            }
            if wants(RecordType::TXT) {
                for text in records.texts {
                    let text = Some(RData::TXT(TXT::new(vec![text])));
                    add(&mut message, owner.clone(), ttl, text);
                }
            }
            if message.answers.is_empty() {
                add_soa(&mut message, view, &name);
            }
            Reply::Now(message)
        }
        End::Nothing(name) => {
            add_soa(&mut message, view, &name);
            Reply::Now(message)
        }
        End::Missing(name) => {
            add_soa(&mut message, view, &name);
            refuse(message, ResponseCode::NXDomain)
        }
        End::Elsewhere(_) => {
            Reply::Ask { query: Query::query(owner, query.query_type()), known: message }
        }
        End::Loop => refuse(message, ResponseCode::ServFail),
    }
}

fn refuse(mut message: Message, code: ResponseCode) -> Reply {
    message.metadata.response_code = code;
    Reply::Now(message)
}

/// An answer to bytes that are no message, if they have at least an id.
fn unreadable(bytes: &[u8]) -> Reply {
    const IS_RESPONSE: u8 = 0x80;
    match bytes {
        [high, low, flags, ..] if flags & IS_RESPONSE == 0 && bytes.len() >= 12 => {
            let id = u16::from_be_bytes([*high, *low]);
            Reply::Now(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr))
        }
        _ => Reply::Silence,
    }
}

fn add(message: &mut Message, owner: Name, ttl: u32, data: Option<RData>) {
    if let Some(data) = data {
        message.add_answer(Record::from_rdata(owner, ttl, data));
    }
}

/// Says how long it may be kept that there is nothing.
///
/// RFC 2308, section 3.
fn add_soa(message: &mut Message, view: &View, name: &str) {
    let Some(domain) = view.domain_of(name).and_then(name_of) else { return };
    let Some(server) = name_of("ns.skyhold.internal") else { return };
    let soa = SOA::new(server.clone(), server, 1, 900, 300, 86_400, MISSING_TTL_SECONDS);
    let record = Record::from_rdata(domain, MISSING_TTL_SECONDS, RData::SOA(soa));
    message.add_authority(record);
}

fn name_of(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}
