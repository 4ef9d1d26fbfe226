//! ApiVersions: key 18, versions 0–4.
//!
//! The first request of every client, allowed in any state. Version 3 brings the client's name (KIP-511) and the
//! cluster's features; version 4 may list supported features whose lowest level is 0 (KAFKA-17492).

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use tidemark_core::metadata::features::FEATURES;
use tidemark_protocol::api::{APIS, ApiKey};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, Peer};

/// First version whose answer may list features that start at level 0.
const ZERO_LEVEL_FEATURES_FROM: i16 = 4;

/// Answers with the table of APIs, or E42 when the client's name is not one.
pub fn handle(ctx: &Ctx, peer: &mut Peer, version: i16, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    if version >= 3 {
        let (name, release) = (&request.client_software_name, &request.client_software_version);
        if !is_software_word(name) || !is_software_word(release) {
            return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
        }
        peer.set_client_software(name, release);
    }
    let image = ctx.image();
    let supported = FEATURES
        .iter()
        .filter(|feature| feature.min > 0 || version >= ZERO_LEVEL_FEATURES_FROM)
        .map(|feature| {
            SupportedFeatureKey::default()
                .with_name(text(feature.name))
                .with_min_version(feature.min)
                .with_max_version(feature.max)
        })
        .collect();
    let finalized = image
        .features
        .iter()
        .filter(|(_, level)| **level > 0)
        .map(|(name, level)| {
            FinalizedFeatureKey::default()
                .with_name(text(name))
                .with_max_version_level(*level)
                .with_min_version_level(*level)
        })
        .collect();
    ApiVersionsResponse::default()
        .with_api_keys(APIS.iter().map(|api| range(api.key, api.advertised_min, api.max)).collect())
        .with_supported_features(supported)
        .with_finalized_features_epoch(i64::try_from(image.version).unwrap_or(i64::MAX))
        .with_finalized_features(finalized)
}

/// The answer to an unknown version of ApiVersions: code 35 and the one range the client needs to try again.
pub fn unsupported() -> ApiVersionsResponse {
    let api = ApiKey::ApiVersions.api();
    ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(vec![range(api.key, api.min, api.max)])
}

fn range(key: ApiKey, min: i16, max: i16) -> ApiVersion {
    ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
}

/// Letters and digits, with `.` and `-` inside (KIP-511).
fn is_software_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    let inside = |b: &u8| b.is_ascii_alphanumeric() || *b == b'.' || *b == b'-';
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && bytes.iter().all(inside)
        }
        _ => false,
    }
}
