//! One blocking connection: whole requests out, whole responses in.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use thiserror::Error;

/// Bytes of length and fixed header before the correlation id of a request.
const CORRELATION_AT: usize = 8;
/// Longest response read: above any fetch asked for.
const RESPONSE_BYTES_MAX: usize = 256 << 20;

/// Why a bench cannot go on.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// What came is not what the protocol says.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The broker answered with an error.
    #[error("the broker answers {what} with error {code} {name}")]
    Broker {
        /// What was asked.
        what: &'static str,
        /// Kafka's number.
        code: i16,
        /// Kafka's name.
        name: &'static str,
    },
}

impl LoadError {
    /// An error code in an answer, if it is one.
    pub fn check(what: &'static str, code: i16) -> Result<(), LoadError> {
        if code == 0 {
            return Ok(());
        }
        let name =
            tidemark_protocol::error_code::ErrorCode::from_code(code).map_or("UNKNOWN", |code| code.name());
        Err(LoadError::Broker { what, code, name })
    }
}

/// A connection to one broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(address: &str) -> Result<Self, LoadError> {
        let stream = TcpStream::connect(address)
            .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: BytesMut::new() })
    }

    /// Connects; no answer may take longer than `limit`.
    ///
    /// # Errors
    /// `Io`, also when the limit has passed; the connection is of no use then.
    pub fn open_with_limit(address: &str, limit: Duration) -> Result<Self, LoadError> {
        let connection = Connection::open(address)?;
        connection.stream.set_read_timeout(Some(limit))?;
        connection.stream.set_write_timeout(Some(limit))?;
        Ok(connection)
    }

    /// A second handle on the same socket, so that one thread can write while another reads.
    ///
    /// # Errors
    /// `Io`.
    pub fn split(&self) -> Result<Self, LoadError> {
        Ok(Connection { stream: self.stream.try_clone()?, buffer: BytesMut::new() })
    }

    /// Closes both directions, whichever handle is used.
    pub fn shut(&self) {
        // Whoever still reads sees the end; if the peer was faster there is nothing left to close.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Sends a whole frame.
    ///
    /// # Errors
    /// `Io`.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), LoadError> {
        Ok(self.stream.write_all(frame)?)
    }

    /// Receives a whole frame, without its length. Its memory is used again once the frame is dropped.
    ///
    /// # Errors
    /// `Io`; `Protocol` for a length that cannot be.
    pub fn receive(&mut self) -> Result<Bytes, LoadError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > RESPONSE_BYTES_MAX {
            return Err(LoadError::Protocol(format!("response of {length} bytes")));
        }
        self.buffer.clear();
        self.buffer.resize(length, 0);
        self.stream.read_exact(&mut self.buffer)?;
        Ok(self.buffer.split().freeze())
    }

    /// One request, one response.
    ///
    /// # Errors
    /// As the parts.
    pub fn call<R: Request + Encodable + HeaderVersion>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, LoadError> {
        self.send(&encode(version, request)?)?;
        decode::<R::Response>(version, self.receive()?)
    }
}

/// A request as a frame, with its length and correlation id 0.
///
/// # Errors
/// `Protocol` when the message does not fit the version.
pub fn encode<R: Request + Encodable + HeaderVersion>(
    version: i16,
    request: &R,
) -> Result<Vec<u8>, LoadError> {
    let protocol = |error: &dyn std::fmt::Display| LoadError::Protocol(error.to_string());
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("tidemark-load")))
        .encode(&mut frame, R::header_version(version))
        .map_err(|error| protocol(&error))?;
    request.encode(&mut frame, version).map_err(|error| protocol(&error))?;
    let length = i32::try_from(frame.len() - 4).map_err(|error| protocol(&error))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.to_vec())
}

/// Reads a response of a version off its frame.
///
/// # Errors
/// `Protocol`.
pub fn decode<R: Decodable + HeaderVersion>(version: i16, mut frame: Bytes) -> Result<R, LoadError> {
    let protocol = |error: &dyn std::fmt::Display| LoadError::Protocol(error.to_string());
    ResponseHeader::decode(&mut frame, R::header_version(version)).map_err(|error| protocol(&error))?;
    let body = R::decode(&mut frame, version).map_err(|error| protocol(&error))?;
    if frame.has_remaining() {
        return Err(LoadError::Protocol(format!("{} bytes follow the response", frame.remaining())));
    }
    Ok(body)
}

/// Writes the correlation id into an encoded request.
pub fn set_correlation_id(frame: &mut [u8], id: i32) {
    frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&id.to_be_bytes());
}

/// The correlation id of a received response.
pub fn correlation_id(frame: &Bytes) -> Option<i32> {
    frame.first_chunk().map(|id| i32::from_be_bytes(*id))
}
