//! Client quotas (KIP-13, KIP-546): what they are set for, which keys there are, which values are legal, and which one
//! holds for a client.
//!
//! The words of every refusal are Kafka's. One thing is decided otherwise: an entity named twice in one request is
//! refused whole, where Kafka answers that too but keeps the first change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use tidemark_protocol::error_code::ErrorCode;

use super::image::ClusterImage;
use super::record::MetadataRecord;
use super::reply::Failure;

/// Kinds of things a quota is set for, in the order in which answers name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntityType {
    /// What a client calls itself.
    ClientId,
    /// The authenticated principal.
    User,
    /// The address a connection comes from (KIP-612); never together with the others.
    Ip,
}

impl EntityType {
    /// Kafka's word.
    pub fn name(self) -> &'static str {
        match self {
            EntityType::ClientId => "client-id",
            EntityType::User => "user",
            EntityType::Ip => "ip",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [EntityType::ClientId, EntityType::User, EntityType::Ip].into_iter().find(|kind| kind.name() == name)
    }
}

/// What a quota is set for: one name, or the default (`None`), for each kind that takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuotaEntity(pub BTreeMap<EntityType, Option<String>>);

/// Quotas of one entity by key.
pub type Quotas = BTreeMap<String, f64>;

/// Quotas of all entities.
pub type QuotaMap = OrdMap<QuotaEntity, Arc<Quotas>>;

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaKey {
    /// Bytes a second that a client may produce.
    ProducerByteRate,
    /// Bytes a second that a client may fetch.
    ConsumerByteRate,
    /// Percent of one thread's time that a client's requests may take.
    RequestPercentage,
    /// Partitions a second that a client may create or delete (KIP-599).
    ControllerMutationRate,
    /// Connections a second that an address may open (KIP-612).
    ConnectionCreationRate,
}

impl QuotaKey {
    /// Every key.
    pub const ALL: [QuotaKey; 5] = [
        QuotaKey::ProducerByteRate,
        QuotaKey::ConsumerByteRate,
        QuotaKey::RequestPercentage,
        QuotaKey::ControllerMutationRate,
        QuotaKey::ConnectionCreationRate,
    ];

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            QuotaKey::ProducerByteRate => "producer_byte_rate",
            QuotaKey::ConsumerByteRate => "consumer_byte_rate",
            QuotaKey::RequestPercentage => "request_percentage",
            QuotaKey::ControllerMutationRate => "controller_mutation_rate",
            QuotaKey::ConnectionCreationRate => "connection_creation_rate",
        }
    }

    /// The key of this name, if it can be set for the entity.
    fn of(entity: &QuotaEntity, name: &str) -> Option<Self> {
        let of_address = entity.0.contains_key(&EntityType::Ip);
        Self::ALL
            .into_iter()
            .find(|key| key.name() == name && (*key == QuotaKey::ConnectionCreationRate) == of_address)
    }
}

/// A change of the quotas of one entity, as asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuotaAlteration {
    /// Parts of the entity: type and name, `None` for the default. The last one of a type counts.
    pub entity: Vec<(String, Option<String>)>,
    /// Keys and their new values; `None` removes one.
    pub ops: Vec<(String, Option<f64>)>,
    /// Whether the proposer found an address for the host that an `ip` part names.
    pub is_host_known: bool,
}

impl QuotaEntity {
    /// Reads an entity.
    fn parse(parts: &[(String, Option<String>)]) -> Result<Self, Failure> {
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
}

impl fmt::Display for QuotaEntity {
    /// As Kafka writes an entity into its messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(kind, name)| format!("{}={}", kind.name(), name.as_deref().unwrap_or("null")))
            .collect();
        write!(f, "ClientQuotaEntity(entries={{{}}})", parts.join(", "))
    }
}

/// The quota of this key that holds for a client, and the entity it was set for: the closest one wins.
pub fn quota_of<'a>(
    quotas: &'a QuotaMap,
    user: &str,
    client_id: &str,
    key: QuotaKey,
) -> Option<(&'a QuotaEntity, f64)> {
    let (user, client) = (Some(Some(user)), Some(Some(client_id)));
    let order = [
        (user, client),
        (user, Some(None)),
        (user, None),
        (Some(None), client),
        (Some(None), Some(None)),
        (Some(None), None),
        (None, client),
        (None, Some(None)),
    ];
    order.into_iter().find_map(|(user, client_id)| {
        let part = |kind, name: Option<Option<&str>>| name.map(|name| (kind, name.map(ToOwned::to_owned)));
        let parts = [part(EntityType::User, user), part(EntityType::ClientId, client_id)];
        let (entity, values) = quotas.get_key_value(&QuotaEntity(parts.into_iter().flatten().collect()))?;
        Some((entity, *values.get(key.name())?))
    })
}

/// Decides alterations, each whole or not at all; the records to push, in request order.
pub(super) fn alter(image: &ClusterImage, items: &[QuotaAlteration]) -> Vec<Result<MetadataRecord, Failure>> {
    let parsed: Vec<_> = items.iter().map(|item| QuotaEntity::parse(&item.entity)).collect();
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

/// What a part of an entity must be to be described, as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaFilter {
    /// The kind, in Kafka's word.
    pub entity_type: String,
    /// 0 this name, 1 the default, 2 anything of the kind.
    pub match_type: i8,
    /// The name, for 0 alone.
    pub name: Option<String>,
}

/// The entities that match all filters, with their quotas; `strict` leaves out those with further parts.
pub fn describe<'a>(
    image: &'a ClusterImage,
    filters: &[QuotaFilter],
    strict: bool,
) -> Result<Vec<(&'a QuotaEntity, &'a Quotas)>, Failure> {
    let mut wanted = BTreeMap::new();
    for filter in filters {
        let (kind, name) = check_filter(filter, &wanted)?;
        wanted.insert(kind, name);
    }
    if wanted.len() > 1 && wanted.contains_key(&EntityType::Ip) {
        return Err(invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or \
             clientId filter component.",
        ));
    }
    if strict && wanted.is_empty() {
        return Ok(Vec::new());
    }
    let is_wanted = |entity: &QuotaEntity| {
        let fits = |(kind, name): (&EntityType, &Wanted)| match (entity.0.get(kind), name) {
            (Some(_), Wanted::Any) => true,
            (Some(found), Wanted::Exactly(name)) => found == name,
            (None, _) => false,
        };
        wanted.iter().all(fits) && (!strict || entity.0.len() == wanted.len())
    };
    let found = image.quotas.iter().filter(|(entity, _)| is_wanted(entity));
    Ok(found.map(|(entity, quotas)| (entity, &**quotas)).collect())
}

/// What the name of a part must be.
enum Wanted {
    Any,
    Exactly(Option<String>),
}

fn check_filter(
    filter: &QuotaFilter,
    before: &BTreeMap<EntityType, Wanted>,
) -> Result<(EntityType, Wanted), Failure> {
    let QuotaFilter { entity_type, match_type, name } = filter;
    if entity_type.is_empty() {
        return Err(invalid("Invalid empty entity type."));
    }
    let Some(kind) = EntityType::from_name(entity_type) else {
        let message = format!("Unsupported entity type {entity_type}");
        return Err(Failure::new(ErrorCode::UnsupportedVersion, message));
    };
    if before.contains_key(&kind) {
        return Err(invalid(format!(
            "Entity type {entity_type} cannot appear more than once in the filter."
        )));
    }
    let wanted = match (match_type, name) {
        (0, Some(name)) => Wanted::Exactly(Some(name.clone())),
        (0, None) => {
            return Err(invalid("Request specified MATCH_TYPE_EXACT, but set match string to null."));
        }
        (1, None) => Wanted::Exactly(None),
        (2, None) => Wanted::Any,
        (1 | 2, Some(_)) => {
            let kind = if *match_type == 1 { "DEFAULT" } else { "SPECIFIED" };
            let message = format!("Request specified MATCH_TYPE_{kind}, but also specified a match string.");
            return Err(invalid(message));
        }
        (other, _) => return Err(invalid(format!("Unknown match type {other}"))),
    };
    Ok((kind, wanted))
}

#[cfg(test)]
mod tests;
