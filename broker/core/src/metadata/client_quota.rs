//! Client quotas (KIP-13, KIP-546): what they are set for, which keys there are, and which one holds for a client.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

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

    /// The kind of this word.
    pub fn from_name(name: &str) -> Option<Self> {
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
    pub fn of(entity: &QuotaEntity, name: &str) -> Option<Self> {
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

#[cfg(test)]
mod tests;
