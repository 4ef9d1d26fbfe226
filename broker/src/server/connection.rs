//! One client connection: frames in, requests started in arrival order, answers out in the same order.
//!
//! Requests are pipelined: each is started as it arrives (its synchronous part runs at once, so two produces of one
//! connection reach their partition in order), and its answer waits for its turn. Nothing here blocks: a slow answer
//! holds back only the answers behind it, and when too many wait, reading stops and TCP pushes back.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tidemark_protocol::frame::FrameError;
use tidemark_protocol::request::{HeaderError, decode_header};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection_limits::Admitted;
use super::dispatch::{self, Started};
use super::inbound::{Inbound, ReadOutcome};
use super::outbound::Outbound;
use super::reply::{Part, Reply};
use super::{Ctx, ListenerInfo, Peer};

/// Requests of one connection in work at a time. librdkafka pipelines up to 1,000,000 but its window is its own bound;
/// past a hundred, more parallel work only costs memory.
const IN_FLIGHT_MAX: usize = 128;
/// Answers encoded but not yet taken by the socket; past it no further request of this connection is finished.
const OUTBOUND_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longer than any connection lives.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Frames up to this size are read without asking the byte budget: they are bounded by the connection's own limits.
const UNBUDGETED_BYTES_MAX: usize = 4 * 1024;

/// An answer in the making, or made and waiting for its turn.
enum Slot {
    Working(Pin<Box<dyn Future<Output = Reply> + Send>>),
    Ready(Reply),
}

/// A request that was started, with its share of the byte budget.
struct InFlight {
    slot: Slot,
    _permit: Option<OwnedSemaphorePermit>,
}

type AwaitedPermit = Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>;

/// The state of one connection; lives in one task.
pub struct Connection {
    ctx: Arc<Ctx>,
    peer: Peer,
    stream: TcpStream,
    inbound: Inbound,
    outbound: Outbound,
    in_flight: VecDeque<InFlight>,
    awaited_permit: Option<AwaitedPermit>,
    permit: Option<OwnedSemaphorePermit>,
    /// Until it ends no further request is started: a quota was overrun (KIP-219).
    rest: Option<Pin<Box<Sleep>>>,
    closing: bool,
    /// The breach that is reported once what came before it is answered.
    breach: Option<Closed>,
    _admitted: Admitted,
    /// Why the connection ended, for the metrics; a refused acks=0 produce or a shutdown until something else is known.
    reason: &'static str,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ctx.metrics.connection_closed(self.reason);
    }
}

/// What woke the connection.
enum Event {
    Shutdown,
    Reply,
    Writable,
    Permit(OwnedSemaphorePermit),
    Rested,
    Read(io::Result<ReadOutcome>),
    Timer,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(
        ctx: Arc<Ctx>,
        listener: Arc<ListenerInfo>,
        stream: TcpStream,
        address: SocketAddr,
        admitted: Admitted,
    ) -> Self {
        let frame_bytes_max = usize::try_from(ctx.settings().socket_request_max_bytes).unwrap_or(0);
        Connection {
            peer: Peer::new(listener, address),
            ctx,
            stream,
            inbound: Inbound::new(frame_bytes_max),
            outbound: Outbound::default(),
            in_flight: VecDeque::new(),
            awaited_permit: None,
            permit: None,
            rest: None,
            closing: false,
            breach: None,
            _admitted: admitted,
            reason: "broker",
        }
    }

    /// Serves until the peer leaves, breaks the protocol, idles too long, or the broker stops.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let idle = idle_time_max(&self.ctx);
        let mut stopped = pin!(super::stopped(&mut shutdown));
        let mut expires = Instant::now() + idle;
        let mut timer = pin!(sleep_until(expires));
        let mut is_ending = false;
        loop {
            let served = match poll_fn(|cx| self.poll_event(cx, stopped.as_mut(), timer.as_mut())).await {
                Event::Shutdown => self.drain(),
                Event::Reply => self.take_replies(),
                Event::Writable => self.flush(),
                Event::Permit(permit) => {
                    self.awaited_permit = None;
                    self.permit = Some(permit);
                    Ok(false)
                }
                Event::Rested => {
                    self.rest = None;
                    self.start_buffered();
                    Ok(true)
                }
                Event::Read(outcome) => self.take_bytes(outcome),
                // The timer is not moved at each sign of life; only when it rings is it asked how long ago that was.
                Event::Timer if Instant::now() < expires => {
                    timer.as_mut().reset(expires);
                    Ok(false)
                }
                Event::Timer => Err(self.breach.take().unwrap_or(Closed::Idle)),
            };
            match served {
                Ok(active) if active && !is_ending => {
                    is_ending = self.breach.is_some();
                    expires = Instant::now() + if is_ending { DRAIN_TIME_MAX } else { idle };
                    if is_ending {
                        timer.as_mut().reset(expires);
                    }
                }
                Ok(_) => {}
                Err(closed) => return self.report(&closed),
            }
            if self.closing && self.in_flight.is_empty() && self.outbound.is_empty() {
                if let Some(closed) = self.breach.take() {
                    self.report(&closed);
                }
                return;
            }
        }
    }

    /// What happens next, the most urgent first: answers leave before new requests are read.
    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        stopped: Pin<&mut impl Future<Output = ()>>,
        timer: Pin<&mut Sleep>,
    ) -> Poll<Event> {
        if !self.closing && stopped.poll(cx).is_ready() {
            return Poll::Ready(Event::Shutdown);
        }
        if self.outbound.queued_bytes() < OUTBOUND_BYTES_MAX && poll_front(&mut self.in_flight, cx).is_ready()
        {
            return Poll::Ready(Event::Reply);
        }
        // An error of the socket is met by the write or read that follows.
        if !self.outbound.is_empty() && self.stream.poll_write_ready(cx).is_ready() {
            return Poll::Ready(Event::Writable);
        }
        let rests = self.rests();
        let reads =
            !self.closing && !rests && self.awaited_permit.is_none() && self.in_flight.len() < IN_FLIGHT_MAX;
        if reads
            && self.stream.poll_read_ready(cx).is_ready()
            && self.admit()
            && let Poll::Ready(outcome) = self.inbound.poll_read(&mut self.stream, cx)
        {
            return Poll::Ready(Event::Read(outcome));
        }
        if let Some(awaited) = &mut self.awaited_permit
            && let Poll::Ready(permit) = awaited.as_mut().poll(cx)
        {
            return Poll::Ready(Event::Permit(permit));
        }
        if rests
            && !self.closing
            && let Some(rest) = &mut self.rest
            && rest.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Rested);
        }
        let is_timed = self.breach.is_some() || self.in_flight.is_empty() && self.outbound.is_empty();
        if is_timed && timer.poll(cx).is_ready() {
            return Poll::Ready(Event::Timer);
        }
        Poll::Pending
    }

    /// Moves every answer whose turn has come to the socket.
    fn take_replies(&mut self) -> Result<bool, Closed> {
        while let Some(InFlight { slot: Slot::Ready(_), .. }) = self.in_flight.front() {
            let Some(InFlight { slot: Slot::Ready(reply), .. }) = self.in_flight.pop_front() else { break };
            match reply {
                Reply::Frame(frame) => self.outbound.push(Part::Bytes(frame)),
                Reply::Parts(parts) => parts.into_iter().for_each(|part| self.outbound.push(part)),
                Reply::Nothing => {}
                Reply::Close => {
                    self.in_flight.clear();
                    self.closing = true;
                }
            }
        }
        self.start_buffered();
        self.flush()
    }

    fn flush(&mut self) -> Result<bool, Closed> {
        self.outbound.flush(&self.stream).map_err(Closed::Io)?;
        Ok(true)
    }

    fn take_bytes(&mut self, outcome: io::Result<ReadOutcome>) -> Result<bool, Closed> {
        match outcome.map_err(Closed::Io)? {
            ReadOutcome::End => Err(Closed::ByPeer),
            ReadOutcome::Bytes => {
                self.start_buffered();
                Ok(true)
            }
        }
    }

    /// Starts the requests whose frames are whole, as many as may be in work at a time. At a breach of the protocol
    /// nothing more is read; the requests before it are answered first, as a broker that takes one at a time does.
    fn start_buffered(&mut self) {
        while self.in_flight.len() < IN_FLIGHT_MAX && !self.closing && !self.rests() {
            let started = match self.inbound.next_frame().map_err(Closed::Frame) {
                Ok(Some(frame)) => self.start(frame),
                Ok(None) => break,
                Err(closed) => Err(closed),
            };
            if let Err(closed) = started {
                self.closing = true;
                self.breach = Some(closed);
            }
        }
    }

    /// Whether the connection rests; begins the rest that its requests have asked for.
    fn rests(&mut self) -> bool {
        if let Some(rest) = self.peer.payer.throttle.take() {
            let end = Instant::now() + rest;
            let end = self.rest.as_ref().map_or(end, |resting| end.max(resting.deadline()));
            self.rest = Some(Box::pin(sleep_until(end)));
        }
        self.rest.is_some()
    }

    /// Asks the broker-wide budget for a large frame before its bytes are read.
    fn admit(&mut self) -> bool {
        let awaited = self.inbound.awaited_bytes();
        if awaited <= UNBUDGETED_BYTES_MAX || self.permit.is_some() {
            return true;
        }
        let budget = &self.ctx.request_budget;
        match budget.try_acquire(awaited) {
            Some(permit) => {
                self.permit = Some(permit);
                true
            }
            None => {
                self.awaited_permit = Some(Box::pin(budget.clone().acquire(awaited)));
                false
            }
        }
    }

    /// Decodes a frame's header and starts its request.
    fn start(&mut self, mut frame: Bytes) -> Result<(), Closed> {
        let bytes = frame.len();
        let permit = self.permit.take();
        let started = match decode_header(&mut frame) {
            Ok(header) => dispatch::start(&self.ctx, &mut self.peer, header, frame, bytes),
            Err(HeaderError::UnsupportedVersion { api, version, correlation_id }) => {
                match dispatch::unsupported_version(api, correlation_id) {
                    Some(reply) => Started::Ready(reply),
                    None => return Err(Closed::Version { api: api.name, version }),
                }
            }
            Err(error) => return Err(Closed::Header(error)),
        };
        let slot = match started {
            Started::Ready(reply) => Slot::Ready(reply),
            Started::Working(future) => Slot::Working(future),
            Started::Refused(why) => return Err(Closed::Body(why)),
        };
        self.in_flight.push_back(InFlight { slot, _permit: permit });
        Ok(())
    }

    /// Stops reading; what was accepted is still answered.
    fn drain(&mut self) -> Result<bool, Closed> {
        self.closing = true;
        Ok(false)
    }

    fn report(&mut self, closed: &Closed) {
        let (peer, client) = (self.peer.address, self.peer.client_software());
        match closed {
            Closed::ByPeer | Closed::Idle => {
                tracing::debug!(%peer, client, reason = %closed, "connection closed")
            }
            Closed::Io(_) => tracing::debug!(%peer, client, reason = %closed, "connection lost"),
            _ => {
                tracing::warn!(%peer, client, reason = %closed, "connection closed: the peer broke the protocol")
            }
        }
        self.reason = closed.label();
    }
}

/// Ready when the answer whose turn it is can leave. Only the front is polled after its start: the work itself goes on
/// elsewhere, and what is behind cannot leave earlier.
fn poll_front(in_flight: &mut VecDeque<InFlight>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(front) = in_flight.front_mut() else { return Poll::Pending };
    if let Slot::Working(future) = &mut front.slot {
        let reply = std::task::ready!(future.as_mut().poll(cx));
        front.slot = Slot::Ready(reply);
    }
    Poll::Ready(())
}

/// `connections.max.idle.ms`; a negative value never closes.
fn idle_time_max(ctx: &Ctx) -> Duration {
    u64::try_from(ctx.settings().connections_max_idle_ms).map_or(FOREVER, Duration::from_millis)
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("closed by the peer")]
    ByPeer,
    #[error("idle for longer than connections.max.idle.ms")]
    Idle,
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Frame(FrameError),
    #[error("{0}")]
    Header(HeaderError),
    #[error("{api} v{version} is not supported")]
    Version { api: &'static str, version: i16 },
    #[error("{0}")]
    Body(String),
}

impl Closed {
    fn label(&self) -> &'static str {
        match self {
            Closed::ByPeer => "peer",
            Closed::Idle => "idle",
            Closed::Io(_) => "io",
            Closed::Frame(_) | Closed::Header(_) | Closed::Body(_) => "malformed",
            Closed::Version { .. } => "version",
        }
    }
}

/// How long a stopping broker, or a connection whose peer broke the protocol, waits for answers that are in the making.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
