//! Decides changes of client quotas: which keys and values are legal (KIP-546).
//!
//! The words of every refusal are Kafka's. One thing is decided otherwise: an entity named twice in one request is
//! refused whole, where Kafka answers that too but keeps the first change.

use std::collections::BTreeSet;

use tidemark_protocol::error_code::ErrorCode;

use crate::metadata::client_quota::{EntityType, QuotaAlteration, QuotaEntity, QuotaKey};
use crate::metadata::image::ClusterImage;
use crate::metadata::record::MetadataRecord;
use crate::metadata::reply::Failure;

/// Decides alterations, each whole or not at all; the records to push, in request order.
pub(super) fn alter(image: &ClusterImage, items: &[QuotaAlteration]) -> Vec<Result<MetadataRecord, Failure>> {
    let parsed: Vec<_> = items.iter().map(|item| parse(&item.entity)).collect();
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&QuotaEntity> =
        parsed.iter().flatten().filter(|entity| !seen.insert(*entity)).collect();
    items
        .iter()
        .zip(&parsed)
        .map(|(item, entity)| match entity {
            Err(failure) => Err(failure.clone()),
            Ok(entity) if twice.contains(entity) => Err(duplicate(entity)),
            Ok(entity) => alter_one(image, entity, item),
        })
        .collect()
}

fn alter_one(
    image: &ClusterImage,
    entity: &QuotaEntity,
    item: &QuotaAlteration,
) -> Result<MetadataRecord, Failure> {
    if let Some(Some(host)) = entity.0.get(&EntityType::Ip)
        && !item.is_host_known
    {
        return Err(invalid(format!("{host} is not a valid IP or resolvable host.")));
    }
    let mut quotas = image.quotas.get(entity).map(|quotas| (**quotas).clone()).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for (name, value) in &item.ops {
        if !seen.insert(name) {
            return Err(duplicate(entity));
        }
        match value {
            None => {
                quotas.remove(name);
            }
            Some(value) => {
                check(entity, name, *value)?;
                quotas.insert(name.clone(), *value);
            }
        }
    }
    Ok(MetadataRecord::ClientQuota { entity: entity.clone(), quotas })
}

/// Reads an entity.
fn parse(parts: &[(String, Option<String>)]) -> Result<QuotaEntity, Failure> {
    if parts.is_empty() {
        return Err(invalid("Invalid empty client quota entity"));
    }
    let mut entity = QuotaEntity::default();
    for (kind, name) in parts {
        let known = EntityType::from_name(kind)
            .ok_or_else(|| invalid(format!("Unhandled client quota entity type: {kind}")))?;
        if name.as_deref() == Some("") {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
        entity.0.insert(known, name.clone());
    }
    if entity.0.len() > 1 && entity.0.contains_key(&EntityType::Ip) {
        return Err(invalid(
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        ));
    }
    Ok(entity)
}

/// How far a whole number may lie from one, as numbers that went through text do.
const WHOLE_TOLERANCE: f64 = 1e-6;

fn check(entity: &QuotaEntity, name: &str, value: f64) -> Result<(), Failure> {
    let key =
        QuotaKey::of(entity, name).ok_or_else(|| invalid(format!("Invalid configuration key {name}")))?;
    // Kafka lets NaN through, which then limits nothing and equals nothing.
    if value.is_nan() || value <= 0.0 {
        return Err(invalid(format!("Quota {name} must be greater than 0")));
    }
    let (largest, kind) = match key {
        QuotaKey::RequestPercentage | QuotaKey::ControllerMutationRate => return Ok(()),
        QuotaKey::ConnectionCreationRate => (f64::from(i32::MAX), "an INT"),
        QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate => (i64::MAX as f64, "a LONG"),
    };
    if value > largest {
        return Err(invalid(format!("Proposed value for {name} is too large for {kind}.")));
    }
    if ((value + WHOLE_TOLERANCE).trunc() - value).abs() > WHOLE_TOLERANCE {
        return Err(invalid(format!("{name} cannot be a fractional value.")));
    }
    Ok(())
}

fn duplicate(entity: &QuotaEntity) -> Failure {
    invalid(format!("Ignoring duplicate entity {entity}"))
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}
