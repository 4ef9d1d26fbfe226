//! Mutations are functions of the seed, differ from the original, and are framed as they say.

use uuid::Uuid;

use super::*;
use crate::corpus;

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let entries = corpus::entries(Uuid::from_u128(1));
    let make = |seed| {
        let mut rng = Rng::new(seed);
        (0..500).map(|_| mutant(&entries, &mut rng).bytes).collect::<Vec<_>>()
    };
    assert_eq!(make(3), make(3));
    assert_ne!(make(3), make(4));
}

#[test]
fn most_are_damaged_and_all_but_the_misframed_have_a_right_length() {
    let entries = corpus::entries(Uuid::from_u128(1));
    let mut rng = Rng::new(5);
    let mut whole = 0;
    for _ in 0..20_000 {
        let mutant = mutant(&entries, &mut rng);
        let length = u32::from_be_bytes(mutant.bytes[..4].try_into().unwrap()) as usize;
        assert_eq!(length == mutant.bytes.len() - 4, !mutant.is_misframed);
        whole += usize::from(entries.iter().any(|entry| entry.frame == mutant.bytes[4..]));
    }
    assert!((300..6000).contains(&whole), "{whole} of 20,000 are undamaged");
}

#[test]
fn damaged_batches_have_a_right_crc() {
    let entries = corpus::entries(Uuid::from_u128(1));
    let entry = entries.iter().find(|entry| entry.api.key == ApiKey::Produce).unwrap();
    let mut rng = Rng::new(9);
    let mut frame = entry.frame.clone();
    batch_damage(&mut frame, entry, &mut rng);
    let start = frame.windows(5).position(|window| window == [0xff, 0xff, 0xff, 0xff, 2]).unwrap() - 12;
    let batch = &frame[start..];
    assert_eq!(batch[CRC_AT..CRC_END], header::checksum(batch).to_be_bytes());
}
