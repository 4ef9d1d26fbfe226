//! A blocking Kafka client of a few calls, so that a test knows every byte it sent and every answer it got.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

/// How long a call may take before the connection counts as broken.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// Largest answer read.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One connection; requests may be pipelined with [`Client::send`] and [`Client::receive`].
pub struct Client {
    stream: TcpStream,
    client_id: StrBytes,
    correlation_id: i32,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CALL_TIME_MAX)?;
        stream.set_read_timeout(Some(CALL_TIME_MAX))?;
        stream.set_nodelay(true)?;
        let client_id = StrBytes::from_static_str("tidemark-tests");
        Ok(Client { stream, client_id, correlation_id: 0 })
    }

    /// The same connection under another name for the client.
    pub fn named(self, client_id: &str) -> Self {
        Client { client_id: text(client_id), ..self }
    }

    /// Sends a request without waiting for its answer.
    pub fn send<Q: Encodable + HeaderVersion>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> io::Result<()> {
        self.correlation_id += 1;
        let mut body = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.client_id.clone()));
        header.encode(&mut body, Q::header_version(version)).map_err(io::Error::other)?;
        request.encode(&mut body, version).map_err(io::Error::other)?;
        let mut frame = BytesMut::with_capacity(body.len() + 4);
        frame.put_i32(i32::try_from(body.len()).map_err(io::Error::other)?);
        frame.extend_from_slice(&body);
        self.stream.write_all(&frame)
    }

    /// Receives the next answer.
    pub fn receive<R: Decodable + HeaderVersion>(&mut self, version: i16) -> io::Result<R> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix)?;
        let len = usize::try_from(i32::from_be_bytes(prefix)).map_err(io::Error::other)?;
        if len > ANSWER_BYTES_MAX {
            return Err(io::Error::other(format!("an answer of {len} bytes")));
        }
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame)?;
        let mut frame = Bytes::from(frame);
        ResponseHeader::decode(&mut frame, R::header_version(version)).map_err(io::Error::other)?;
        R::decode(&mut frame, version).map_err(io::Error::other)
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Whether the broker has closed this connection; waits until it has, or until an answer or a second of silence
    /// says that it has not.
    pub fn is_closed(&mut self) -> bool {
        const SILENCE_MAX: Duration = Duration::from_secs(1);
        let patience = self.stream.set_read_timeout(Some(SILENCE_MAX));
        let read = patience.and_then(|()| self.stream.read(&mut [0]));
        let ended = match read {
            Ok(bytes) => bytes == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        };
        // A connection that cannot be given its patience back is broken, and the next call says so.
        let _ = self.stream.set_read_timeout(Some(CALL_TIME_MAX));
        ended
    }

    /// Sends a request and waits for its answer.
    pub fn call<Q, R>(&mut self, key: ApiKey, version: i16, request: &Q) -> io::Result<R>
    where
        Q: Encodable + HeaderVersion,
        R: Decodable + HeaderVersion,
    {
        self.send(key, version, request)?;
        self.receive(version)
    }

    /// Creates a topic; one that exists is fine.
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> io::Result<()> {
        const TOPIC_ALREADY_EXISTS: i16 = 36;
        let configs = configs
            .iter()
            .map(|(key, value)| {
                CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
            })
            .collect();
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer: CreateTopicsResponse = self.call(ApiKey::CreateTopics, 5, &request)?;
        match answer.topics.first().map(|topic| topic.error_code) {
            Some(0 | TOPIC_ALREADY_EXISTS) => Ok(()),
            code => Err(io::Error::other(format!("CreateTopics of {name} answered {code:?}"))),
        }
    }

    /// A fresh producer id.
    pub fn init_producer_id(&mut self) -> io::Result<(i64, i16)> {
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        let answer: InitProducerIdResponse = self.call(ApiKey::InitProducerId, 1, &request)?;
        match answer.error_code {
            0 => Ok((answer.producer_id.0, answer.producer_epoch)),
            code => Err(io::Error::other(format!("InitProducerId answered {code}"))),
        }
    }

    /// Sends one batch with acks=all without waiting.
    pub fn send_produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> io::Result<()> {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
        let topic =
            TopicProduceData::default().with_name(TopicName(text(topic))).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        self.send(ApiKey::Produce, 9, &request)
    }

    /// The answer to the oldest produce not answered yet: error code and base offset.
    pub fn receive_produce(&mut self) -> io::Result<(i16, i64)> {
        let answer: ProduceResponse = self.receive(9)?;
        let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let partition = partition.ok_or_else(|| io::Error::other("a produce answered for no partition"))?;
        Ok((partition.error_code, partition.base_offset))
    }

    /// Fetches from an offset: error code, high watermark, records' bytes. Waits up to `max_wait_ms` for a first byte.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_wait_ms: i32,
    ) -> io::Result<(i16, i64, Bytes)> {
        let part = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(8 * 1024 * 1024);
        let topic = FetchTopic::default().with_topic(TopicName(text(topic))).with_partitions(vec![part]);
        let request = FetchRequest::default()
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(64 * 1024 * 1024)
            .with_topics(vec![topic]);
        let answer: FetchResponse = self.call(ApiKey::Fetch, 11, &request)?;
        let part = answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let part = part.ok_or_else(|| io::Error::other("a fetch answered for no partition"))?;
        Ok((part.error_code, part.high_watermark, part.records.unwrap_or_default()))
    }
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
