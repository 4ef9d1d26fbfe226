//! [`PeerClient`]: calls to one node for one purpose, over a connection that is made when it is needed.
//!
//! The connection belongs to a task of its own. When it breaks, whoever waits is told at once; the next call makes a new
//! one, but not sooner than [`RECONNECT_PAUSE`] after the last attempt: until then calls fail without trying.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::call::{self, Call, CallError, Message};
use super::frame::{ANSWER, Frame, FrameReader, NAMESAKE, Outgoing, REFUSED, UNANSWERED};
use super::hello::{Hello, Myself, PROTOCOL_VERSION};
use crate::transport;

/// Calls that wait to be written: each caller has few, and a stuck connection must not gather more.
const QUEUE_MAX: usize = 1024;
/// A connection that is not there by then is not coming.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Between two attempts: a node that is down is not hammered, one that comes back is found soon.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection is for; each has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Messages of the metadata quorum.
    Consensus,
    /// Heartbeats, proposals, questions.
    Control,
    /// Records.
    Replication,
}

/// Who this node is, as it introduces itself; changes once, when it has found its cluster.
pub type Introduction = Arc<ArcSwap<Myself>>;

/// The clients of a node, one for each other node and purpose.
#[derive(Clone)]
pub struct PeerClients {
    me: Introduction,
    clients: Arc<Mutex<BTreeMap<(String, Purpose), PeerClient>>>,
}

impl PeerClients {
    /// Clients that introduce themselves as `me`.
    pub fn new(me: Introduction) -> PeerClients {
        PeerClients { me, clients: Arc::default() }
    }

    /// Who this node is.
    pub fn me(&self) -> Arc<Myself> {
        self.me.load_full()
    }

    /// Introduces this node as a member of `cluster_id` from now on.
    pub fn join_cluster(&self, cluster_id: &str) {
        let joined = Myself { cluster_id: cluster_id.to_owned(), ..(*self.me()).clone() };
        self.me.store(Arc::new(joined));
    }

    /// The client for the node at `address` (`host:port`).
    pub fn to(&self, address: &str, purpose: Purpose) -> PeerClient {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.to_owned(), purpose);
        clients.entry(key).or_insert_with(|| PeerClient::new(address, Arc::clone(&self.me))).clone()
    }
}

/// Calls to one node. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct PeerClient {
    address: Arc<str>,
    queue: mpsc::Sender<Queued>,
}

/// A call on its way to the connection.
struct Queued {
    kind: u8,
    parts: Vec<Bytes>,
    /// Where the answer goes; none is wanted without.
    reply: Option<oneshot::Sender<Result<Bytes, CallError>>>,
}

impl PeerClient {
    fn new(address: &str, me: Introduction) -> PeerClient {
        let (queue, calls) = mpsc::channel(QUEUE_MAX);
        let address: Arc<str> = Arc::from(address);
        tokio::spawn(Connector { address: Arc::clone(&address), me, last_attempt: None }.run(calls));
        PeerClient { address, queue }
    }

    /// Where the node is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks, and waits up to `patience` for the answer.
    ///
    /// # Errors
    /// See [`CallError`]; the call may have been carried out unless it was refused.
    pub async fn call<C: Call>(&self, call: C, patience: Duration) -> Result<C::Answer, CallError> {
        Ok(self.exchange(Message::from(call), patience).await?.head)
    }

    /// As [`PeerClient::call`], with raw bytes either way.
    ///
    /// # Errors
    /// As there.
    pub async fn exchange<C: Call>(
        &self,
        message: Message<C>,
        patience: Duration,
    ) -> Result<Message<C::Answer>, CallError> {
        let (reply, answer) = oneshot::channel();
        let queued = Queued { kind: C::KIND, parts: call::encode(message), reply: Some(reply) };
        let exchange = async {
            self.queue.send(queued).await.map_err(|_| self.unreachable("the client has stopped"))?;
            answer.await.map_err(|_| self.unreachable("the connection was lost"))?
        };
        let body = timeout(patience, exchange).await.map_err(|_| self.timed_out())??;
        call::decode(&body).map_err(|error| self.unreachable(&error.to_string()))
    }

    /// Says something that is not answered; lost without a word when there is no connection or no room.
    pub fn tell<C: Call>(&self, call: C) {
        let queued = Queued { kind: C::KIND, parts: call::encode(Message::from(call)), reply: None };
        // What is said this way is said again, or is out of date by then.
        let _ = self.queue.try_send(queued);
    }

    fn unreachable(&self, why: &str) -> CallError {
        CallError::Unreachable { address: self.address.to_string(), why: why.to_owned() }
    }

    fn timed_out(&self) -> CallError {
        CallError::TimedOut { address: self.address.to_string() }
    }
}

/// Makes connections, one after another, for the calls of one client.
struct Connector {
    address: Arc<str>,
    me: Introduction,
    last_attempt: Option<Instant>,
}

impl Connector {
    async fn run(mut self, mut calls: mpsc::Receiver<Queued>) {
        while let Some(first) = calls.recv().await {
            match self.connect().await {
                Ok(connection) => connection.serve(first, &mut calls).await,
                Err(none) => first.fail(none.told_of(&self.address)),
            }
        }
    }

    async fn connect(&mut self) -> Result<Connection, NoConnection> {
        if self.last_attempt.is_some_and(|last| last.elapsed() < RECONNECT_PAUSE) {
            let why = "it could not be reached just now";
            return Err(io::Error::new(io::ErrorKind::NotConnected, why).into());
        }
        self.last_attempt = Some(Instant::now());
        let open = async {
            let stream = transport::connect(&self.address).await?;
            Connection::open(stream, Arc::clone(&self.address), &self.me.load_full()).await
        };
        timeout(CONNECT_TIME_MAX, open)
            .await
            .unwrap_or_else(|_| Err(NoConnection::Failed(io::ErrorKind::TimedOut.into())))
    }
}

/// Why a connection was not made.
enum NoConnection {
    Failed(io::Error),
    /// The other node has this one's id.
    Namesake(String),
}

impl From<io::Error> for NoConnection {
    fn from(error: io::Error) -> Self {
        NoConnection::Failed(error)
    }
}

impl NoConnection {
    fn told_of(self, address: &str) -> CallError {
        let address = address.to_owned();
        match self {
            NoConnection::Failed(error) => CallError::Unreachable { address, why: error.to_string() },
            NoConnection::Namesake(why) => CallError::Namesake { address, why },
        }
    }
}

impl Queued {
    fn fail(self, error: CallError) {
        if let Some(reply) = self.reply {
            // Whoever asked may have given up.
            let _ = reply.send(Err(error));
        }
    }
}

/// Answers that are waited for, by the numbers of their calls. `None` once the connection is broken.
type Waiting = Mutex<Option<BTreeMap<u64, oneshot::Sender<Result<Bytes, CallError>>>>>;

/// An open connection.
struct Connection {
    address: Arc<str>,
    writes: OwnedWriteHalf,
    reads: OwnedReadHalf,
    frames: FrameReader,
}

impl Connection {
    /// Introduces this node and hears who answers.
    async fn open(stream: TcpStream, address: Arc<str>, me: &Myself) -> Result<Connection, NoConnection> {
        let (mut reads, mut writes) = stream.into_split();
        let hello = Hello { version: PROTOCOL_VERSION, from: me.clone() };
        Outgoing::new(Hello::KIND, 1, call::encode(Message::from(hello))).write(&mut writes).await?;
        let mut frames = FrameReader::default();
        let answer =
            frames.next(&mut reads).await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let why = || String::from_utf8_lossy(&answer.body).into_owned();
        match answer.kind {
            ANSWER => Ok(Connection { address, writes, reads, frames }),
            NAMESAKE => Err(NoConnection::Namesake(why())),
            _ => Err(io::Error::other(why()).into()),
        }
    }

    /// Writes calls and hands out answers, until the connection breaks.
    async fn serve(self, first: Queued, calls: &mut mpsc::Receiver<Queued>) {
        let waiting: Arc<Waiting> = Arc::new(Mutex::new(Some(BTreeMap::new())));
        let mut reading =
            tokio::spawn(read_answers(self.reads, self.frames, Arc::clone(&waiting), self.address.clone()));
        let writing = write_calls(self.writes, first, calls, &waiting);
        let why = tokio::select! {
            biased;
            why = &mut reading => why.unwrap_or_else(|_| "reading from it failed".to_owned()),
            why = writing => why,
        };
        reading.abort();
        let lost = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (_, reply) in lost.into_iter().flatten() {
            // Whoever asked may have given up.
            let _ = reply
                .send(Err(CallError::Unreachable { address: self.address.to_string(), why: why.clone() }));
        }
    }
}

/// Writes calls as they come; returns why it stopped.
async fn write_calls(
    mut writes: OwnedWriteHalf,
    first: Queued,
    calls: &mut mpsc::Receiver<Queued>,
    waiting: &Waiting,
) -> String {
    let mut next = Some(first);
    let mut number = UNANSWERED;
    loop {
        let queued = match next.take() {
            Some(first) => first,
            None => match calls.recv().await {
                Some(queued) => queued,
                None => return "the client has stopped".to_owned(),
            },
        };
        let mut this = UNANSWERED;
        if let Some(reply) = queued.reply {
            number += 1;
            this = number;
            if let Some(waiting) = waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                waiting.retain(|_, reply| !reply.is_closed());
                waiting.insert(number, reply);
            }
        }
        if let Err(error) = Outgoing::new(queued.kind, this, queued.parts).write(&mut writes).await {
            return error.to_string();
        }
    }
}

/// Hands answers to whoever waits for them; returns why it stopped.
async fn read_answers(
    mut reads: OwnedReadHalf,
    mut frames: FrameReader,
    waiting: Arc<Waiting>,
    address: Arc<str>,
) -> String {
    loop {
        let frame = match frames.next(&mut reads).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return "it closed the connection".to_owned(),
            Err(error) => return error.to_string(),
        };
        let Frame { kind, number, body } = frame;
        let reply = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .and_then(|all| all.remove(&number));
        let Some(reply) = reply else { continue };
        let answer = match kind {
            ANSWER => Ok(body),
            REFUSED => {
                let why = String::from_utf8_lossy(&body).into_owned();
                Err(CallError::Refused { address: address.to_string(), why })
            }
            other => return format!("it sent a frame of kind {other}"),
        };
        // Whoever asked may have given up.
        let _ = reply.send(answer);
    }
}
