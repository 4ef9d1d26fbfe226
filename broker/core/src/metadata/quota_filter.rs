//! [`QuotaFilter`]: which client quotas a request asks for, and finding them (KIP-546).

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;

use super::client_quota::{EntityType, QuotaEntity, Quotas};
use super::image::ClusterImage;
use super::reply::Failure;

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

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}
