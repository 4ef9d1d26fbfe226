use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn memory_bounds_the_keys() {
    let mut map = OffsetMap::new(100 * SLOT_LEN, u64::MAX, (1, 2));
    assert_eq!(map.limit(), 90);
    for i in 0..90 {
        assert!(map.put(format!("{i}").as_bytes(), i));
    }
    assert!(!map.put(b"one more", 90));
    assert_eq!(map.get(b"one more"), None);
    assert!(map.put(b"7", 91), "a key it holds can move on");
    assert_eq!((map.get(b"7"), map.get(b"8"), map.len()), (Some(91), Some(8), 90));
}

#[test]
fn is_no_larger_than_the_keys_need() {
    for keys in [0, 1, 14, 100, 12_345] {
        let mut map = OffsetMap::new(1 << 30, keys, (0, 0));
        assert!(map.hashes.len() < 2 * keys as usize + 17, "{keys}");
        assert!((0..keys).all(|i| map.put(&i.to_be_bytes(), i as Offset)), "{keys}");
    }
}

#[test]
fn an_older_offset_does_not_win() {
    let mut map = OffsetMap::new(1000, 10, (0, 0));
    assert!(map.put(b"k", 5) && map.put(b"k", 3));
    assert_eq!(map.get(b"k"), Some(5));
    assert!(map.put(b"zero", 0));
    assert_eq!(map.get(b"zero"), Some(0));
}

proptest! {
    #[test]
    fn agrees_with_a_plain_map(puts in prop::collection::vec((0..200u16, 0..10_000i64), 0..400), seed: (u64, u64)) {
        let mut map = OffsetMap::new(150 * SLOT_LEN, 1000, seed);
        let mut plain: BTreeMap<u16, Offset> = BTreeMap::new();
        for (key, offset) in puts {
            let room = plain.len() < map.limit() || plain.contains_key(&key);
            prop_assert_eq!(map.put(&key.to_be_bytes(), offset), room);
            if room {
                let newest = plain.entry(key).or_insert(offset);
                *newest = (*newest).max(offset);
            }
        }
        for key in 0..200u16 {
            prop_assert_eq!(map.get(&key.to_be_bytes()), plain.get(&key).copied());
        }
    }
}
