//! Looking up the records that prove who owns a domain.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The longest answer over UDP.
const ANSWER_MAX: usize = 4096;

/// Finds canonical names.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// What `name` is an alias of, without a dot at its end.
    async fn cname(&self, name: &str) -> Option<String>;

    /// Whether there is anybody to ask.
    fn asks(&self) -> bool;
}

/// Nobody is asked, so no domain is validated.
pub struct NoResolver;

/// A DNS server is asked over UDP.
pub struct DnsResolver(
    /// Where it is.
    pub SocketAddr,
);

#[async_trait]
impl Resolver for NoResolver {
    async fn cname(&self, _name: &str) -> Option<String> {
        None
    }

    fn asks(&self) -> bool {
        false
    }
}

#[async_trait]
impl Resolver for DnsResolver {
    async fn cname(&self, name: &str) -> Option<String> {
        match tokio::time::timeout(ANSWER_WITHIN, self.ask(name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(%error, name, "no answer about a validation record");
                None
            }
            Err(_) => None,
        }
    }

    fn asks(&self) -> bool {
        true
    }
}

impl DnsResolver {
    async fn ask(
        &self,
        name: &str,
    ) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        let mut asked = Name::from_ascii(name)?;
        asked.set_fqdn(true);
        message.add_query(Query::query(asked.clone(), RecordType::CNAME));
        let own = if self.0.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own).await?;
        socket.connect(self.0).await?;
        socket.send(&message.to_vec()?).await?;
        let mut buffer = vec![0; ANSWER_MAX];
        let length = socket.recv(&mut buffer).await?;
        buffer.truncate(length);
        let answer = Message::from_vec(&buffer)?;
        if answer.metadata.id != message.metadata.id {
            return Ok(None);
        }
        let alias = answer.answers.iter().filter(|record| record.name == asked);
        let alias = alias.filter_map(|record| {
            if let RData::CNAME(alias) = &record.data { Some(alias.0.to_ascii()) } else { None }
        });
        Ok(alias.map(|alias| alias.trim_end_matches('.').to_owned()).next())
    }
}
