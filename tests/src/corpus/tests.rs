//! The corpus covers what is served, and the broker's own decoder reads all of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidemark_protocol::guard;
use tidemark_protocol::request::decode_header;

use super::*;

#[test]
fn every_served_version_has_requests_that_the_guard_accepts() {
    let mut seen = BTreeSet::new();
    for entry in entries(Uuid::from_u128(7)) {
        let mut frame = Bytes::from(entry.frame.clone());
        let header = decode_header(&mut frame).unwrap();
        assert_eq!((header.api.key, header.version), (entry.api.key, entry.version));
        assert_eq!(frame, entry.frame[entry.body_at..], "{} v{}", entry.api.name, entry.version);
        let checked = guard::check(entry.api, entry.version, &frame);
        assert!(checked.is_ok(), "{} v{}: {checked:?}", entry.api.name, entry.version);
        seen.insert((entry.api.key, entry.version));
    }
    let served = APIS.iter().flat_map(|api| (api.min..=api.max).map(move |version| (api.key, version)));
    assert_eq!(seen, served.collect());
}
