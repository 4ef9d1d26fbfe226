//! AlterClientQuotas: key 49, versions 0–1 (KIP-546).
//!
//! Entities succeed or fail one by one, each whole; every entity is answered once, however often it was named.
//! A host named as an address must resolve, which this node finds out before the change is proposed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::alter_client_quotas_request::EntryData;
use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData as Answer};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use tidemark_core::metadata::{Command, Failure, QuotaAlteration, Reply};

use super::super::answer::text;
use super::super::{Ctx, RequestContext, topics};
use crate::transport;

/// Time to resolve all hosts of a request; a host that takes longer counts as unknown.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(5);

/// Type and name of each part, each type once.
type Entity = BTreeMap<String, Option<String>>;

/// Changes the quotas and answers once they hold on this node.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let mut items: Vec<QuotaAlteration> = request.entries.iter().map(alteration).collect();
    // Whoever is not done in time stays unknown, which the command then says.
    let _ = tokio::time::timeout(RESOLVE_TIME_MAX, find_hosts(&mut items)).await;
    let entities: Vec<Entity> = items.iter().map(|item| item.entity.iter().cloned().collect()).collect();
    let command = Command::AlterClientQuotas { items };
    let results = match topics::run(&ctx, &ctx.image(), command, request.validate_only).await {
        Ok(Reply::QuotasAltered(results)) => results,
        Ok(other) => vec![Err(topics::unexpected(&other)); entities.len()],
        Err(failure) => vec![Err(failure); entities.len()],
    };
    if !request.validate_only {
        ctx.quotas.apply(&ctx.image()).await;
    }
    let answers: BTreeMap<Entity, Result<(), Failure>> = entities.into_iter().zip(results).collect();
    AlterClientQuotasResponse::default().with_entries(answers.into_iter().map(answer).collect())
}

fn alteration(entry: &EntryData) -> QuotaAlteration {
    let part = |name: &str, value: Option<&str>| (name.to_owned(), value.map(ToOwned::to_owned));
    QuotaAlteration {
        entity: entry.entity.iter().map(|e| part(&e.entity_type, e.entity_name.as_deref())).collect(),
        ops: entry.ops.iter().map(|op| (op.key.to_string(), (!op.remove).then_some(op.value))).collect(),
        is_host_known: false,
    }
}

async fn find_hosts(items: &mut [QuotaAlteration]) {
    for item in items {
        let host = item.entity.iter().rev().find(|(kind, _)| kind == "ip");
        if let Some((_, Some(host))) = host {
            item.is_host_known = transport::address_of(host).await.is_some();
        }
    }
}

fn answer((entity, result): (Entity, Result<(), Failure>)) -> Answer {
    let parts = entity.into_iter().map(|(kind, name)| {
        EntityData::default().with_entity_type(text(&kind)).with_entity_name(name.as_deref().map(text))
    });
    let answer = Answer::default().with_entity(parts.collect());
    match result {
        Ok(()) => answer.with_error_message(None),
        Err(failure) => {
            answer.with_error_code(failure.code.code()).with_error_message(Some(text(&failure.message)))
        }
    }
}
