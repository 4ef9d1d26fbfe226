//! [`PeerListener`]: answers the calls of other nodes.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::call::{self, Call, Message};
use super::frame::{ANSWER, Frame, FrameReader, NAMESAKE, Outgoing, REFUSED, UNANSWERED};
use super::hello::{Caller, Hello, Myself, Objection};
use crate::transport::{self, BoundPort};

/// Calls of one connection in work: past it the connection is not read. A node has a few at a time.
const IN_WORK_MAX: usize = 1024;
/// Connections the kernel queues while we accept.
const BACKLOG: i32 = 128;

type Handler =
    Arc<dyn Fn(Arc<Session>, Bytes) -> BoxFuture<'static, Result<Vec<Bytes>, String>> + Send + Sync>;

/// What this node answers, by kind of call. Parts of the node add theirs as they come up.
#[derive(Default)]
pub struct Services {
    handlers: RwLock<BTreeMap<u8, Handler>>,
}

/// One connection as handlers see it.
pub struct Session {
    /// Who calls.
    pub caller: Caller,
    /// What handlers keep for this connection, such as the fetch session of a follower.
    state: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

impl Session {
    /// What the handlers of this connection keep, made by the first who asks.
    pub fn state<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = state.get_or_insert_with(|| make());
        Arc::clone(kept).downcast().expect("one kind of handlers keeps something on a connection")
    }
}

impl Services {
    /// Answers the calls `C` with `handler`. An error text goes to the caller as it is.
    pub fn serve<C, F>(&self, handler: impl Fn(Arc<Session>, Message<C>) -> F + Send + Sync + 'static)
    where
        C: Call,
        F: Future<Output = Result<Message<C::Answer>, String>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |session, body| match call::decode::<C>(&body) {
            Ok(message) => {
                let answer = handler(session, message);
                async move { answer.await.map(call::encode) }.boxed()
            }
            Err(error) => std::future::ready(Err(format!("{}: {error}", C::NAME))).boxed(),
        });
        let taken = self.handlers.write().unwrap_or_else(PoisonError::into_inner).insert(C::KIND, handler);
        assert!(taken.is_none(), "two services of kind {} ({})", C::KIND, C::NAME);
    }
}

impl Services {
    fn find(&self, kind: u8) -> Option<Handler> {
        self.handlers.read().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned()
    }
}

/// The port, open.
pub struct PeerListener {
    socket: TcpListener,
    me: Arc<ArcSwap<Myself>>,
    services: Arc<Services>,
}

impl PeerListener {
    /// Opens the port. It introduces itself as `me`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(
        port: BoundPort,
        me: Arc<ArcSwap<Myself>>,
        services: Arc<Services>,
    ) -> io::Result<PeerListener> {
        Ok(PeerListener { socket: port.listen(BACKLOG)?, me, services })
    }

    /// Serves until told to stop; connections end with it.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        let connection = Connection { me: Arc::clone(&self.me), services: Arc::clone(&self.services) };
                        connections.spawn(async move {
                            if let Err(error) = connection.serve(stream).await {
                                tracing::debug!(%address, %error, "the connection of a node ended");
                            }
                        });
                    }
                    // Out of descriptors, mostly: others may be given back while we look at the next.
                    Err(error) => {
                        tracing::warn!(%error, "a connection of a node was not accepted");
                        tokio::task::yield_now().await;
                    }
                },
            }
        }
    }
}

/// Returns once the node stops; also when whoever would say so is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

struct Connection {
    me: Arc<ArcSwap<Myself>>,
    services: Arc<Services>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) -> io::Result<()> {
        transport::prepare(&stream)?;
        let (mut reads, mut writes) = stream.into_split();
        let mut frames = FrameReader::default();
        let Some(first) = frames.next(&mut reads).await? else { return Ok(()) };
        let session = match self.greet(&first) {
            Ok((session, answer)) => {
                answer.write(&mut writes).await?;
                session
            }
            Err(objection) => {
                let why = objection.to_string();
                let kind = match objection {
                    Objection::Stranger(_) => REFUSED,
                    Objection::Namesake(_) => NAMESAKE,
                };
                Outgoing::new(kind, first.number, vec![Bytes::from(why.clone())]).write(&mut writes).await?;
                return Err(io::Error::other(why));
            }
        };
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(answer) = answers.next() => {
                    let answer: Option<Outgoing> = answer;
                    if let Some(answer) = answer {
                        answer.write(&mut writes).await?;
                    }
                }
                frame = frames.next(&mut reads), if answers.len() < IN_WORK_MAX => {
                    let Some(frame) = frame? else { return Ok(()) };
                    answers.push(self.answer(&session, frame));
                }
            }
        }
    }

    fn greet(&self, first: &Frame) -> Result<(Arc<Session>, Outgoing), Objection> {
        let me = self.me.load_full();
        if first.kind != Hello::KIND {
            return Err(Objection::Stranger("the first frame is no hello".to_owned()));
        }
        let malformed = |error: call::Malformed| Objection::Stranger(error.to_string());
        let hello = call::decode::<Hello>(&first.body).map_err(malformed)?.head;
        if let Some(objection) = me.objection(&hello) {
            return Err(objection);
        }
        let answer = Outgoing::new(ANSWER, first.number, call::encode(Message::from((*me).clone())));
        Ok((Arc::new(Session { caller: hello.from, state: Mutex::default() }), answer))
    }

    fn answer(&self, session: &Arc<Session>, frame: Frame) -> impl Future<Output = Option<Outgoing>> + use<> {
        let Frame { kind, number, body } = frame;
        let answer = match self.services.find(kind) {
            Some(handler) => handler(Arc::clone(session), body),
            None => std::future::ready(Err(format!("calls of kind {kind} are not answered here"))).boxed(),
        };
        async move {
            let answer = answer.await;
            (number != UNANSWERED).then(|| match answer {
                Ok(parts) => Outgoing::new(ANSWER, number, parts),
                Err(why) => Outgoing::new(REFUSED, number, vec![Bytes::from(why)]),
            })
        }
    }
}
