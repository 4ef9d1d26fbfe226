//! [`Call`]: one question a node can ask another, with the type of its answer.
//!
//! Calls and answers are postcard of our own types; a call may carry raw bytes behind them, which are never copied.
//! Versions: fields are only added at the end of a message and variants at the end of an enum; what is not compatible gets
//! a kind of its own.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A question with its answer.
pub trait Call: Serialize + DeserializeOwned + Send + 'static {
    /// Its number on the wire; unique, below 0xF0.
    const KIND: u8;
    /// Its name in logs.
    const NAME: &'static str;
    /// What it is answered with.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no connection; the call may have been carried out if it had been sent.
    #[error("node {address} cannot be reached: {why}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What happened.
        why: String,
    },
    /// No answer in time; the call may have been carried out.
    #[error("no answer from {address} in time")]
    TimedOut {
        /// Who was asked.
        address: String,
    },
    /// The other node says that it will not.
    #[error("{address} refused: {why}")]
    Refused {
        /// Who was asked.
        address: String,
        /// What it said.
        why: String,
    },
    /// The other node has the id of this one, and another directory.
    #[error("{address} is a namesake: {why}")]
    Namesake {
        /// Who was asked.
        address: String,
        /// What it said.
        why: String,
    },
}

/// A message and the raw bytes that go with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<T> {
    /// The message.
    pub head: T,
    /// What follows it, in parts that are sent as they are. One part when received.
    pub raw: Vec<Bytes>,
}

impl<T> From<T> for Message<T> {
    fn from(head: T) -> Self {
        Message { head, raw: Vec::new() }
    }
}

/// The message as parts of a frame.
pub(super) fn encode<T: Serialize>(message: Message<T>) -> Vec<Bytes> {
    let head = postcard::to_stdvec(&message.head).expect("plain data always encodes into memory");
    std::iter::once(Bytes::from(head)).chain(message.raw).collect()
}

/// A message from the body of a frame.
pub(super) fn decode<T: DeserializeOwned>(body: &Bytes) -> Result<Message<T>, Malformed> {
    let (head, rest) = postcard::take_from_bytes(body).map_err(|error| Malformed(error.to_string()))?;
    let raw = if rest.is_empty() { Vec::new() } else { vec![body.slice_ref(rest)] };
    Ok(Message { head, raw })
}

/// A body that is not the message it should be.
#[derive(Debug)]
pub(super) struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed: {}", self.0)
    }
}
