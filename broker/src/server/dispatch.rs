//! The one match from API key to handler: decodes the body, starts the handler, encodes its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use tidemark_protocol::api::{Api, ApiKey};
use tidemark_protocol::request::{RequestHeader, decode_body};
use tidemark_protocol::response::encode_response;

use super::answer::encode;
use super::handlers::*;
use super::reply::Reply;
use super::throttled::Throttled;
use super::{Ctx, Peer, RequestContext, quota};

/// A request that was started.
pub enum Started {
    /// Its answer is there.
    Ready(Reply),
    /// Its answer is in the making; the part that had to run in arrival order has run.
    Working(Pin<Box<dyn Future<Output = Reply> + Send>>),
    /// Its body is not what its header says; the connection must close.
    Refused(String),
}

struct Request<'a> {
    ctx: &'a Arc<Ctx>,
    context: RequestContext,
    header: RequestHeader,
    body: Bytes,
}

/// Starts the handler of one request.
pub fn start(ctx: &Arc<Ctx>, peer: &mut Peer, header: RequestHeader, body: Bytes, bytes: usize) -> Started {
    let charge = ctx.quotas.charge(&mut peer.payer, header.client_id.as_deref());
    let context = RequestContext {
        version: header.version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.clone().unwrap_or_default(),
        listener: peer.listener.clone(),
        address: peer.address,
        pace: peer.pace.clone(),
        request_bytes: bytes,
        charge,
    };
    let request = Request { ctx, context, header, body };
    match request.header.api.key {
        ApiKey::ApiVersions => api_versions(request, peer),
        ApiKey::Produce => request.raw(produce::handle),
        ApiKey::Fetch => request.raw(fetch::handle),
        ApiKey::Metadata => request.call(metadata::handle),
        ApiKey::ListOffsets => request.call(list_offsets::handle),
        ApiKey::OffsetForLeaderEpoch => request.call(offset_for_leader_epoch::handle),
        ApiKey::CreateTopics => request.call(create_topics::handle),
        ApiKey::DeleteTopics => request.call(delete_topics::handle),
        ApiKey::CreatePartitions => request.call(create_partitions::handle),
        ApiKey::DeleteRecords => request.call(delete_records::handle),
        ApiKey::DescribeConfigs => request.call(describe_configs::handle),
        ApiKey::AlterConfigs => request.call(alter_configs::handle),
        ApiKey::IncrementalAlterConfigs => request.call(incremental_alter_configs::handle),
        ApiKey::DescribeCluster => request.call(describe_cluster::handle),
        ApiKey::DescribeTopicPartitions => request.call(describe_topic_partitions::handle),
        ApiKey::DescribeLogDirs => request.call(describe_log_dirs::handle),
        ApiKey::DescribeProducers => request.call(describe_producers::handle),
        ApiKey::InitProducerId => request.call(init_producer_id::handle),
        ApiKey::DescribeAcls => request.call(describe_acls::handle),
        ApiKey::CreateAcls => request.call(create_acls::handle),
        ApiKey::DeleteAcls => request.call(delete_acls::handle),
        ApiKey::FindCoordinator => request.call(find_coordinator::handle),
        ApiKey::JoinGroup => request.call(join_group::handle),
        ApiKey::SyncGroup => request.call(sync_group::handle),
        ApiKey::Heartbeat => request.call(heartbeat::handle),
        ApiKey::LeaveGroup => request.call(leave_group::handle),
        ApiKey::OffsetCommit => request.call(offset_commit::handle),
        ApiKey::OffsetFetch => request.call(offset_fetch::handle),
        ApiKey::OffsetDelete => request.call(offset_delete::handle),
        ApiKey::ListGroups => request.call(list_groups::handle),
        ApiKey::DescribeGroups => request.call(describe_groups::handle),
        ApiKey::AlterReplicaLogDirs => request.call(alter_replica_log_dirs::handle),
        ApiKey::ElectLeaders => request.call(elect_leaders::handle),
        ApiKey::AlterPartitionReassignments => request.call(alter_partition_reassignments::handle),
        ApiKey::ListPartitionReassignments => request.call(list_partition_reassignments::handle),
        ApiKey::DescribeQuorum => request.call(describe_quorum::handle),
        ApiKey::UpdateFeatures => request.call(update_features::handle),
        ApiKey::UnregisterBroker => request.call(unregister_broker::handle),
        ApiKey::AddRaftVoter => request.call(add_raft_voter::handle),
        ApiKey::RemoveRaftVoter => request.call(remove_raft_voter::handle),
        ApiKey::ListConfigResources => request.call(list_config_resources::handle),
        ApiKey::DescribeClientQuotas => request.call(describe_client_quotas::handle),
        ApiKey::AlterClientQuotas => request.call(alter_client_quotas::handle),
        ApiKey::DeleteGroups => request.call(delete_groups::handle),
    }
}

/// The answer to a version we do not serve: for ApiVersions the one form every client can read (KIP-511: version 0,
/// code 35 and the range), for anything else none, and the connection closes.
pub fn unsupported_version(api: &'static Api, correlation_id: i32) -> Option<Reply> {
    if api.key != ApiKey::ApiVersions {
        return None;
    }
    encode_response(ApiKey::ApiVersions, 0, correlation_id, &api_versions::unsupported())
        .ok()
        .map(Reply::Frame)
}

impl Request<'_> {
    /// A handler from message to message.
    fn call<Q, R, H, F>(self, handler: H) -> Started
    where
        Q: Decodable + HeaderVersion,
        R: Encodable + HeaderVersion + Throttled,
        H: FnOnce(Arc<Ctx>, RequestContext, Q) -> F,
        F: Future<Output = R> + Send + 'static,
    {
        let (key, version, correlation_id) =
            (self.header.api.key, self.header.version, self.header.correlation_id);
        self.raw(move |ctx, context, request| {
            let charge = context.charge.clone();
            let answer = handler(ctx, context, request);
            async move {
                let mut answer = answer.await;
                if let Some(charge) = charge {
                    answer.set_throttle_time_ms(charge.settle());
                }
                encode(key, version, correlation_id, &answer)
            }
        })
    }

    /// A handler that makes its own reply.
    fn raw<Q, H, F>(self, handler: H) -> Started
    where
        Q: Decodable + HeaderVersion,
        H: FnOnce(Arc<Ctx>, RequestContext, Q) -> F,
        F: Future<Output = Reply> + Send + 'static,
    {
        let request: Q = match decode_body(&self.header, self.body) {
            Ok(request) => request,
            Err(error) => {
                return Started::Refused(format!(
                    "{} v{}: {error}",
                    self.header.api.name, self.header.version
                ));
            }
        };
        let timer =
            self.ctx.metrics.request_started(self.header.api.key, self.header.version, self.ctx.clock.now());
        let ctx = self.ctx.clone();
        let charge = self.context.charge.clone();
        let answer = quota::timed(charge, handler(self.ctx.clone(), self.context, request));
        let mut future = Box::pin(async move {
            let reply = answer.await;
            ctx.metrics.request_finished(timer, ctx.clock.now());
            reply
        });
        // The first poll runs the part of the handler before its first wait: what must happen in arrival order. Its
        // waker may be a dummy because the connection polls again with its own when the answer's turn comes.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => Started::Ready(reply),
            Poll::Pending => Started::Working(future),
        }
    }
}

fn api_versions(request: Request<'_>, peer: &mut Peer) -> Started {
    let (key, version, correlation_id) =
        (ApiKey::ApiVersions, request.header.version, request.header.correlation_id);
    let body: ApiVersionsRequest = match decode_body(&request.header, request.body) {
        Ok(body) => body,
        Err(error) => return Started::Refused(format!("ApiVersions v{version}: {error}")),
    };
    let answer = api_versions::handle(request.ctx, peer, version, &body)
        .with_throttle_time_ms(request.context.throttle_time_ms());
    Started::Ready(encode(key, version, correlation_id, &answer))
}
