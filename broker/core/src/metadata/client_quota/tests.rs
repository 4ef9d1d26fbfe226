//! Quotas are taken and refused in Kafka's words, and the closest one holds.

use tidemark_protocol::error_code::ErrorCode;

use super::*;
use crate::metadata::command::Command;
use crate::metadata::decide;
use crate::metadata::image::ClusterImage;
use crate::metadata::quota_filter::{QuotaFilter, describe};
use crate::metadata::reply::Reply;

type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

const USER: Parts<'_> = &[("user", Some("u"))];
const ADDRESS: Parts<'_> = &[("ip", Some("1.2.3.4"))];

fn item(entity: Parts<'_>, ops: &[(&str, Option<f64>)]) -> QuotaAlteration {
    QuotaAlteration {
        entity: entity.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(ToOwned::to_owned))).collect(),
        ops: ops.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect(),
        is_host_known: true,
    }
}

/// Decides and applies; the words of each item's refusal, empty when it was taken.
fn run(image: &mut ClusterImage, items: Vec<QuotaAlteration>) -> Vec<String> {
    let outcome = decide(image, &Command::AlterClientQuotas { items }, 1);
    outcome.records.iter().for_each(|record| image.apply(record));
    let Reply::QuotasAltered(results) = outcome.reply else { panic!("another reply") };
    results
        .into_iter()
        .map(|result| {
            result.map_or_else(
                |failure| {
                    assert_eq!(failure.code, ErrorCode::InvalidRequest);
                    failure.message
                },
                |()| String::new(),
            )
        })
        .collect()
}

fn set(entity: Parts<'_>, key: &str, value: f64) -> String {
    run(&mut ClusterImage::default(), vec![item(entity, &[(key, Some(value))])]).remove(0)
}

fn with(quotas: &[(Parts<'_>, &str, f64)]) -> ClusterImage {
    let mut image = ClusterImage::default();
    for (entity, key, value) in quotas {
        assert_eq!(run(&mut image, vec![item(entity, &[(key, Some(*value))])]), [""]);
    }
    image
}

#[test]
fn entities_are_refused_in_kafkas_words() {
    let refused = |entity: Parts<'_>| set(entity, "producer_byte_rate", 5.0);
    assert_eq!(refused(&[]), "Invalid empty client quota entity");
    assert_eq!(refused(&[("group", Some("x"))]), "Unhandled client quota entity type: group");
    assert_eq!(refused(&[("user", Some(""))]), "Empty user not supported");
    assert_eq!(refused(&[("client-id", Some(""))]), "Empty client-id not supported");
    assert_eq!(
        refused(&[("ip", Some("1.2.3.4")), ("user", Some("u"))]),
        "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
    );
    assert_eq!(refused(ADDRESS), "Invalid configuration key producer_byte_rate");
    assert_eq!(
        set(USER, "connection_creation_rate", 5.0),
        "Invalid configuration key connection_creation_rate"
    );
    assert_eq!(set(USER, "zzz", 5.0), "Invalid configuration key zzz");
}

#[test]
fn a_host_that_the_proposer_could_not_resolve_is_refused() {
    let mut unknown = item(&[("ip", Some("nohost.invalid"))], &[("connection_creation_rate", Some(1.0))]);
    unknown.is_host_known = false;
    let refused = run(&mut ClusterImage::default(), vec![unknown]);
    assert_eq!(refused, ["nohost.invalid is not a valid IP or resolvable host."]);
}

#[test]
fn values_are_refused_in_kafkas_words() {
    for key in ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"]
    {
        for value in [0.0, -1.0, f64::NAN] {
            assert_eq!(set(USER, key, value), format!("Quota {key} must be greater than 0"), "{value}");
        }
    }
    let fractional = "producer_byte_rate cannot be a fractional value.";
    assert_eq!(set(USER, "producer_byte_rate", 1.5), fractional);
    assert_eq!(set(USER, "producer_byte_rate", 4.000_000_1), "");
    let large = "Proposed value for producer_byte_rate is too large for a LONG.";
    assert_eq!(set(USER, "producer_byte_rate", 1e19), large);
    assert_eq!(set(USER, "producer_byte_rate", f64::INFINITY), large);
    assert_eq!(set(USER, "request_percentage", 0.5), "");
    assert_eq!(set(USER, "controller_mutation_rate", 1e19), "");
    let large = "Proposed value for connection_creation_rate is too large for an INT.";
    assert_eq!(set(ADDRESS, "connection_creation_rate", 2_147_483_648.0), large);
    assert_eq!(set(ADDRESS, "connection_creation_rate", 2_147_483_647.0), "");
}

#[test]
fn an_entity_or_key_named_twice_changes_nothing() {
    let mut image = ClusterImage::default();
    let once = ("producer_byte_rate", Some(5.0));
    let twice = item(USER, &[once, once]);
    let words = "Ignoring duplicate entity ClientQuotaEntity(entries={user=u})";
    assert_eq!(run(&mut image, vec![twice]), [words]);
    let other = item(&[("client-id", None)], &[once]);
    let results = run(&mut image, vec![item(USER, &[once]), other, item(USER, &[once])]);
    assert_eq!(results, [words, "", words]);
    assert_eq!(image.quotas.len(), 1, "only the client's default");
    let both = [("user", Some("a")), ("client-id", Some("b"))];
    let reversed = [both[1], both[0]];
    let words = "Ignoring duplicate entity ClientQuotaEntity(entries={client-id=b, user=a})";
    assert_eq!(run(&mut image, vec![item(&both, &[once]), item(&reversed, &[once])]), [words, words]);
}

#[test]
fn a_bad_key_leaves_the_good_one_of_its_entity_unset() {
    let mut image = ClusterImage::default();
    let ops = [("producer_byte_rate", Some(7.0)), ("consumer_byte_rate", Some(-1.0))];
    assert_eq!(run(&mut image, vec![item(USER, &ops)]), ["Quota consumer_byte_rate must be greater than 0"]);
    assert!(image.quotas.is_empty());
}

#[test]
fn the_last_quota_removed_removes_the_entity() {
    let mut image = with(&[(USER, "producer_byte_rate", 5.0), (USER, "request_percentage", 0.5)]);
    assert_eq!(run(&mut image, vec![item(USER, &[("producer_byte_rate", None), ("zzz", None)])]), [""]);
    assert_eq!(image.quotas.len(), 1);
    run(&mut image, vec![item(USER, &[("request_percentage", None)])]);
    assert!(image.quotas.is_empty());
}

#[test]
fn the_closest_quota_holds() {
    let (user, client) = (("user", Some("u")), ("client-id", Some("c")));
    let (any_user, any_client) = (("user", None), ("client-id", None));
    // From the closest to the farthest; each is removed in turn.
    let order: [Parts<'_>; 8] = [
        &[user, client],
        &[user, any_client],
        &[user],
        &[any_user, client],
        &[any_user, any_client],
        &[any_user],
        &[client],
        &[any_client],
    ];
    let quotas: Vec<_> =
        order.iter().zip(1..).map(|(entity, n)| (*entity, "producer_byte_rate", f64::from(n))).collect();
    let mut image = with(&quotas);
    for (entity, expected) in order.iter().zip(1..) {
        let found = quota_of(&image.quotas, "u", "c", QuotaKey::ProducerByteRate).map(|(_, value)| value);
        assert_eq!(found, Some(f64::from(expected)));
        run(&mut image, vec![item(entity, &[("producer_byte_rate", None)])]);
    }
    assert_eq!(quota_of(&image.quotas, "u", "c", QuotaKey::ProducerByteRate), None);
}

#[test]
fn an_entity_without_the_key_is_passed_over() {
    let image = with(&[(USER, "consumer_byte_rate", 1.0), (&[("user", None)], "producer_byte_rate", 2.0)]);
    let found = quota_of(&image.quotas, "u", "c", QuotaKey::ProducerByteRate).map(|(_, value)| value);
    assert_eq!(found, Some(2.0));
}

fn filter(entity_type: &str, match_type: i8, name: Option<&str>) -> QuotaFilter {
    QuotaFilter { entity_type: entity_type.to_owned(), match_type, name: name.map(ToOwned::to_owned) }
}

#[test]
fn filters_find_what_they_name_and_strict_ones_nothing_more() {
    let image = with(&[
        (USER, "producer_byte_rate", 1.0),
        (&[("user", Some("u")), ("client-id", None)], "producer_byte_rate", 2.0),
        (&[("user", None)], "producer_byte_rate", 3.0),
        (&[("client-id", Some("c"))], "producer_byte_rate", 4.0),
        (ADDRESS, "connection_creation_rate", 5.0),
    ]);
    let found = |filters: &[QuotaFilter], strict| {
        let mut values: Vec<f64> = describe(&image, filters, strict)
            .unwrap()
            .into_iter()
            .flat_map(|(_, quotas)| quotas.values().copied())
            .collect();
        values.sort_by(f64::total_cmp);
        values
    };
    assert_eq!(found(&[], false), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert!(found(&[], true).is_empty());
    assert_eq!(found(&[filter("user", 2, None)], false), [1.0, 2.0, 3.0]);
    assert_eq!(found(&[filter("user", 2, None)], true), [1.0, 3.0]);
    assert_eq!(found(&[filter("user", 1, None)], false), [3.0]);
    assert_eq!(found(&[filter("user", 0, Some("u"))], false), [1.0, 2.0]);
    assert_eq!(found(&[filter("user", 0, Some("u")), filter("client-id", 1, None)], true), [2.0]);
    assert_eq!(found(&[filter("ip", 2, None)], true), [5.0]);
    assert!(found(&[filter("user", 0, Some(""))], false).is_empty());
}

#[test]
fn filters_are_refused_in_kafkas_words() {
    let refused = |filters: &[QuotaFilter]| {
        let image = ClusterImage::default();
        let failure = describe(&image, filters, false).unwrap_err();
        (failure.code, failure.message)
    };
    let any = |kind| filter(kind, 2, None);
    let cases = [
        (vec![any("")], "Invalid empty entity type."),
        (vec![any("user"), any("user")], "Entity type user cannot appear more than once in the filter."),
        (vec![filter("user", 3, None)], "Unknown match type 3"),
        (vec![filter("user", 0, None)], "Request specified MATCH_TYPE_EXACT, but set match string to null."),
        (
            vec![filter("user", 1, Some("z"))],
            "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.",
        ),
        (
            vec![filter("user", 2, Some("z"))],
            "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.",
        ),
        (
            vec![any("ip"), any("user")],
            "Invalid entity filter component combination. IP filter component should not be used with user or \
             clientId filter component.",
        ),
    ];
    for (filters, words) in cases {
        assert_eq!(refused(&filters), (ErrorCode::InvalidRequest, words.to_owned()));
    }
    let unknown = (ErrorCode::UnsupportedVersion, "Unsupported entity type xx".to_owned());
    assert_eq!(refused(&[any("ip"), any("xx")]), unknown);
}
