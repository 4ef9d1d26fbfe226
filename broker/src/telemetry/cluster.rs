//! What the admin port tells and does about the cluster, beyond Kafka's APIs. Any node answers; what the controller has to
//! decide is forwarded to it.
//!
//! ```text
//! GET  /api/v1/brokers                    brokers with what is asked of them and how far that is
//! GET  /api/v1/events?since_ms=&limit=    what happened lately, oldest first
//! POST /api/v1/brokers/ID/drain           others lead                               ?dry_run only decides
//! POST /api/v1/brokers/ID/undrain         ends that, or a decommission
//! POST /api/v1/brokers/ID/decommission    others get its replicas; forgotten once it is empty and has stopped
//! ```
//! A refusal is 409 with `{"error": why}`, an unknown broker 404. Posts must say `Content-Type: application/json`, which no
//! page of another site can make a browser send.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tidemark_core::metadata::{BrokerRegistration, ClusterImage, Command, Failure, Reply, decide, drain};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;

use super::events::EventLog;
use crate::controller::ControllerHandle;

/// Events in an answer unless more are asked for.
const EVENTS_TOLD: usize = 100;

/// What these answers are made from.
#[derive(Clone)]
pub struct Cluster {
    /// The metadata quorum.
    pub controller: ControllerHandle,
    /// What happened lately.
    pub events: Arc<EventLog>,
}

type Answer = (StatusCode, Json<Value>);

/// The routes.
pub fn router(cluster: Cluster) -> Router {
    Router::new()
        .route("/api/v1/brokers", get(brokers))
        .route("/api/v1/events", get(events))
        .route("/api/v1/brokers/{id}/{verb}", post(change))
        .with_state(cluster)
}

async fn brokers(State(cluster): State<Cluster>) -> Json<Value> {
    let image = cluster.controller.image();
    let members = cluster.controller.members();
    let leader = cluster.controller.metrics().leader.and_then(|leader| members.get(leader));
    let votes = |id: BrokerId| members.voters.values().any(|voter| voter.broker_id == id);
    let brokers: Vec<Value> = image
        .brokers
        .values()
        .map(|broker| {
            let mut value = state_of(&image, broker);
            value["voter"] = votes(broker.id).into();
            value
        })
        .collect();
    Json(json!({
        "cluster_id": image.cluster_id, "index": image.version,
        "controller": leader.map(|voter| voter.broker_id), "brokers": brokers,
    }))
}

async fn events(
    State(cluster): State<Cluster>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
    let since = number("since_ms").and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_TOLD);
    Json(json!({ "events": cluster.events.since(since, limit) }))
}

async fn change(
    State(cluster): State<Cluster>,
    Path((id, verb)): Path<(BrokerId, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let is_json = |value: &header::HeaderValue| value.as_bytes().starts_with(b"application/json");
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "say Content-Type: application/json");
    }
    let command = match verb.as_str() {
        "drain" => Command::DrainBroker { id, leaves: false },
        "decommission" => Command::DrainBroker { id, leaves: true },
        "undrain" => Command::UndrainBroker { id },
        _ => return refused(StatusCode::NOT_FOUND, "drain, undrain and decommission are known"),
    };
    let image = cluster.controller.image();
    if verb == "decommission"
        && !image.is_leaving(id)
        && image.brokers.contains_key(&id)
        && let Some(why) = cluster.controller.is_needed(id)
    {
        return refused(StatusCode::CONFLICT, &why);
    }
    let is_dry = query.get("dry_run").is_some_and(|value| value != "false");
    let reply = match is_dry {
        true => Ok(decide(&image, &command, image.version + 1).reply),
        false => cluster.controller.submit(command).await,
    };
    match reply {
        Ok(Reply::BrokerChanged(Ok(()))) => {
            let image = cluster.controller.image();
            let broker = image.brokers.get(&id).map_or(Value::Null, |broker| state_of(&image, broker));
            (StatusCode::OK, Json(json!({ "dry_run": is_dry, "broker": broker })))
        }
        Ok(Reply::BrokerChanged(Err(Failure { code: ErrorCode::BrokerIdNotRegistered, message }))) => {
            refused(StatusCode::NOT_FOUND, &message)
        }
        Ok(Reply::BrokerChanged(Err(failure))) => refused(StatusCode::CONFLICT, &failure.message),
        Ok(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the controller answered something else"),
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn state_of(image: &ClusterImage, broker: &BrokerRegistration) -> Value {
    let id = broker.id;
    let leads = image.topics_of_broker(id).flat_map(|topic| &topic.partitions).filter(|p| p.leader == id);
    let drain = image.drains.get(&id).map(|asked| {
        json!({
            "leaves": asked.leaves, "replicas_at_start": asked.replicas,
            "replicas_moving": drain::moving_off(image, id),
        })
    });
    json!({
        "id": id, "epoch": broker.epoch, "rack": broker.rack, "fenced": broker.fenced,
        "stopping": broker.in_controlled_shutdown, "drain": drain,
        "replicas": image.replicas_of_broker(id), "leaders": leads.count(),
    })
}

fn refused(status: StatusCode, why: &str) -> Answer {
    (status, Json(json!({ "error": why })))
}
