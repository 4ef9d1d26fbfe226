//! One connection to one broker: connects, learns the versions, then one request and its answer at a time.
//!
//! Written by whoever holds it mutably. A call that was given up half-way leaves the connection unusable; the next call
//! connects again.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::ClientError;

/// How long a connection attempt may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest answer accepted: beyond Kafka's largest fetch (50 MiB) with room for one large batch.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// What we call ourselves (KIP-511).
const SOFTWARE_NAME: &str = "tidemark-cli";

/// A connection, or the wish for one.
pub struct Connection {
    address: String,
    link: Option<Link>,
    correlation_id: i32,
}

struct Link {
    stream: TcpStream,
    received: BytesMut,
    /// Lowest and highest version by API key.
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// A connection that will be made at its first use.
    pub fn new(address: String) -> Connection {
        Connection { address, link: None, correlation_id: 0 }
    }

    /// The highest version of `R` that both sides know.
    pub async fn version<R: Request>(&mut self) -> Result<i16, ClientError> {
        self.ensure_link().await?;
        let offered = self.link.as_ref().and_then(|link| link.versions.get(&R::KEY)).copied();
        let common = offered.and_then(|(min, max)| {
            let version = max.min(R::VERSIONS.max);
            (version >= min.max(R::VERSIONS.min)).then_some(version)
        });
        common.ok_or_else(|| ClientError::Unsupported {
            address: self.address.clone(),
            api: api_name::<R>(),
            offered: offered.map_or_else(|| "none".to_owned(), |(min, max)| format!("{min} to {max}")),
        })
    }

    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        within: Duration,
    ) -> Result<R::Response, ClientError> {
        self.ensure_link().await?;
        // Taken out while the call is under way: if it is given up, the link goes with it.
        let mut link = self.link.take().expect("ensure_link made one");
        let frame = self.encode(version, request)?;
        let answer = self.exchange(&mut link, &frame, within).await?;
        let response = self.decode::<R::Response>(answer, R::Response::header_version(version), version)?;
        self.link = Some(link);
        Ok(response)
    }

    /// Sends a request that is not answered, as Produce with acks=0.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), ClientError> {
        self.ensure_link().await?;
        let mut link = self.link.take().expect("ensure_link made one");
        let frame = self.encode(version, request)?;
        link.stream.write_all(&frame).await.map_err(|error| self.broken(&error.to_string()))?;
        self.link = Some(link);
        Ok(())
    }

    async fn ensure_link(&mut self) -> Result<(), ClientError> {
        if self.link.is_none() {
            let stream = tokio::time::timeout(CONNECT_TIME_MAX, connect(&self.address))
                .await
                .map_err(|_| self.unreachable("no answer to the connection attempt"))?
                .map_err(|error| self.unreachable(&error.to_string()))?;
            let mut link = Link { stream, received: BytesMut::new(), versions: BTreeMap::new() };
            link.versions = self.negotiate(&mut link).await?;
            self.link = Some(link);
        }
        Ok(())
    }

    /// Asks for the versions with the highest we know; a broker that does not know it answers in version 0 (KIP-511).
    async fn negotiate(&mut self, link: &mut Link) -> Result<BTreeMap<i16, (i16, i16)>, ClientError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(SOFTWARE_NAME))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let version = ApiVersionsRequest::VERSIONS.max;
        let frame = self.encode(version, &request)?;
        let answer = self.exchange(link, &frame, CONNECT_TIME_MAX).await?;
        let mut response = self.api_versions(answer, version)?;
        if response.error_code == ErrorCode::UnsupportedVersion.code() {
            let frame = self.encode(0, &ApiVersionsRequest::default())?;
            let answer = self.exchange(link, &frame, CONNECT_TIME_MAX).await?;
            response = self.api_versions(answer, 0)?;
        }
        super::error::check(response.error_code, None)?;
        Ok(response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect())
    }

    fn api_versions(&self, answer: Bytes, version: i16) -> Result<ApiVersionsResponse, ClientError> {
        let unsupported = answer.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
        self.decode(answer, 0, if unsupported { 0 } else { version })
    }

    fn encode<R: Request>(&mut self, version: i16, request: &R) -> Result<Bytes, ClientError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str(SOFTWARE_NAME)));
        let mut frame = BytesMut::from(&[0; frame::LENGTH_PREFIX][..]);
        header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|error| {
                self.garbled(&format!("the {} request cannot be written: {error}", api_name::<R>()))
            })?;
        let len = i32::try_from(frame.len() - frame::LENGTH_PREFIX)
            .map_err(|_| self.garbled("the request is longer than 2 GiB"))?;
        frame[..frame::LENGTH_PREFIX].copy_from_slice(&len.to_be_bytes());
        Ok(frame.freeze())
    }

    async fn exchange(&self, link: &mut Link, frame: &[u8], within: Duration) -> Result<Bytes, ClientError> {
        let exchange = async {
            link.stream.write_all(frame).await.map_err(|error| self.broken(&error.to_string()))?;
            loop {
                let next = frame::next_frame(&mut link.received, FRAME_BYTES_MAX);
                match next.map_err(|error| self.garbled(&error.to_string()))? {
                    Some(answer) if answer.get(..4) == Some(&self.correlation_id.to_be_bytes()) => {
                        return Ok(answer);
                    }
                    Some(_) => return Err(self.garbled("an answer to another request")),
                    None => {}
                }
                match link.stream.read_buf(&mut link.received).await {
                    Ok(0) => return Err(self.broken("closed by the peer")),
                    Ok(_) => {}
                    Err(error) => return Err(self.broken(&error.to_string())),
                }
            }
        };
        let timed_out = |_| ClientError::TimedOut { address: self.address.clone(), after: within };
        tokio::time::timeout(within, exchange).await.map_err(timed_out)?
    }

    fn decode<M: Message + Decodable>(
        &self,
        mut answer: Bytes,
        header_version: i16,
        version: i16,
    ) -> Result<M, ClientError> {
        ResponseHeader::decode(&mut answer, header_version)
            .and_then(|_| M::decode(&mut answer, version))
            .map_err(|error| self.garbled(&format!("an answer cannot be read: {error}")))
    }

    fn unreachable(&self, why: &str) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), why: why.to_owned() }
    }

    fn broken(&self, why: &str) -> ClientError {
        ClientError::Broken { address: self.address.clone(), why: why.to_owned() }
    }

    fn garbled(&self, why: &str) -> ClientError {
        ClientError::Garbled { address: self.address.clone(), why: why.to_owned() }
    }
}

/// A connection to `host:port`.
#[allow(clippy::disallowed_methods, reason = "this file owns the command line's connections")]
pub(super) async fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn api_name<R: Request>() -> &'static str {
    tidemark_protocol::api::api(R::KEY).map_or("this API", |api| api.name)
}
