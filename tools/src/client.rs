//! A Kafka client for the command line: connections by broker, calls by destination, retries where Kafka allows them.
//!
//! It speaks the highest version both sides know, so it works against Tidemark and Apache Kafka alike. A client is
//! shared by reference; each connection carries one call at a time, and long polls have connections of their own.

pub mod admin;
pub mod cluster;
pub mod configs;
pub mod connection;
pub mod coordinator;
pub mod error;
pub mod fetch;
pub mod groups;
pub mod http;
pub mod member;
pub mod metadata;
pub mod offsets;
pub mod produce;
pub mod retry;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::Request;
use tidemark_protocol::types::BrokerId;
use tokio::sync::Mutex;

use connection::Connection;
use error::ClientError;
use retry::Retry;

/// How long one answer may take unless the call says otherwise.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(40);
/// How long a broker that refuses connections is tried before it counts as unreachable.
const REACH_TIME_MAX: Duration = Duration::from_secs(2);

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// Any broker that answers.
    Any,
    /// This broker.
    Broker(BrokerId),
    /// This broker, on a connection where waiting disturbs nobody else.
    Waiting(BrokerId),
}

/// Connections by address; those where calls wait for long stand apart.
type Connections = BTreeMap<(String, bool), Arc<Mutex<Connection>>>;

/// A client of one cluster.
pub struct Client {
    bootstrap: Vec<String>,
    timeout: Duration,
    brokers: SyncMutex<BTreeMap<BrokerId, String>>,
    connections: SyncMutex<Connections>,
}

impl Client {
    /// A client that starts from `servers`, `host:port` separated by commas; a missing port is 9092.
    pub fn new(servers: &str, timeout: Duration) -> Client {
        let with_port = |server: &str| match server.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => server.to_owned(),
            _ => format!("{server}:9092"),
        };
        let bootstrap = servers.split(',').map(str::trim).filter(|s| !s.is_empty()).map(with_port).collect();
        Client { bootstrap, timeout, brokers: SyncMutex::default(), connections: SyncMutex::default() }
    }

    /// How long an operation may take, its retries included.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// One call, the request built for the version agreed upon.
    pub async fn call<R: Request>(
        &self,
        to: To,
        build: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        self.call_within(to, ANSWER_TIME_MAX, build).await
    }

    /// One call whose answer may take up to `within`.
    pub async fn call_within<R: Request>(
        &self,
        to: To,
        within: Duration,
        build: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(to).await?;
        let mut connection = connection.lock().await;
        let version = connection.version::<R>().await?;
        connection.call(version, &build(version), within).await
    }

    /// Sends what is not answered.
    pub async fn send<R: Request>(&self, to: To, build: impl Fn(i16) -> R) -> Result<(), ClientError> {
        let connection = self.connection(to).await?;
        let mut connection = connection.lock().await;
        let version = connection.version::<R>().await?;
        connection.send(version, &build(version)).await
    }

    /// Brokers that metadata told of, by id.
    pub fn brokers(&self) -> BTreeMap<BrokerId, String> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn_brokers<'a>(&self, brokers: impl Iterator<Item = (BrokerId, &'a str, i32)>) {
        let mut known = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(brokers.map(|(id, host, port)| (id, format!("{host}:{port}"))));
    }

    async fn connection(&self, to: To) -> Result<Arc<Mutex<Connection>>, ClientError> {
        match to {
            To::Any => self.reach_any().await,
            To::Broker(id) => Ok(self.slot(self.address(id)?, false)),
            To::Waiting(id) => Ok(self.slot(self.address(id)?, true)),
        }
    }

    fn address(&self, id: BrokerId) -> Result<String, ClientError> {
        let unknown = || ClientError::Unreachable {
            address: format!("broker {id}"),
            why: "the cluster does not say where it is".to_owned(),
        };
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned().ok_or_else(unknown)
    }

    fn slot(&self, address: String, waiting: bool) -> Arc<Mutex<Connection>> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = connections.entry((address.clone(), waiting));
        Arc::clone(slot.or_insert_with(|| Arc::new(Mutex::new(Connection::new(address)))))
    }

    /// The first bootstrap address that answers; tried again for a moment, since brokers restart.
    async fn reach_any(&self) -> Result<Arc<Mutex<Connection>>, ClientError> {
        let mut retry = Retry::new(REACH_TIME_MAX.min(self.timeout));
        loop {
            let mut last = ClientError::Unreachable {
                address: self.bootstrap.join(","),
                why: "no address is given".to_owned(),
            };
            for address in &self.bootstrap {
                let slot = self.slot(address.clone(), false);
                let reached = slot.lock().await.version::<kafka_protocol::messages::MetadataRequest>().await;
                match reached {
                    Ok(_) => return Ok(slot),
                    Err(error) => last = error,
                }
            }
            retry.after(last).await?;
        }
    }
}

/// A topic name of Kafka's messages.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(metadata::text(name))
}
