//! DescribeClientQuotas: key 48, versions 0–1 (KIP-546).
//!
//! Entities that match all components are listed, by a strict request only those without further parts. A filter that
//! cannot be is answered by its code and null entries; success has an empty message.

use std::sync::Arc;

use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use tidemark_core::metadata::client_quota::Quotas;
use tidemark_core::metadata::quota_filter;
use tidemark_core::metadata::{QuotaEntity, QuotaFilter};

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// Answers from the image of this node.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let filters: Vec<QuotaFilter> = request
        .components
        .iter()
        .map(|component| QuotaFilter {
            entity_type: component.entity_type.to_string(),
            match_type: component.match_type,
            name: component._match.as_ref().map(ToString::to_string),
        })
        .collect();
    let response = DescribeClientQuotasResponse::default();
    match quota_filter::describe(&ctx.image(), &filters, request.strict) {
        Ok(found) => response
            .with_error_message(Some(text("")))
            .with_entries(Some(found.into_iter().map(entry).collect())),
        Err(failure) => response
            .with_error_code(failure.code.code())
            .with_error_message(Some(text(&failure.message)))
            .with_entries(None),
    }
}

fn entry((entity, quotas): (&QuotaEntity, &Quotas)) -> EntryData {
    let parts = entity.0.iter().map(|(kind, name)| {
        EntityData::default().with_entity_type(text(kind.name())).with_entity_name(name.as_deref().map(text))
    });
    let values =
        quotas.iter().map(|(key, value)| ValueData::default().with_key(text(key)).with_value(*value));
    EntryData::default().with_entity(parts.collect()).with_values(values.collect())
}
