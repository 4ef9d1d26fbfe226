use super::*;

#[test]
fn keys_land_where_kafkas_own_partitioner_puts_them() {
    // Values of org.apache.kafka.common.utils.Utils.murmur2.
    assert_eq!(murmur2(b"21") as i32, -973_932_308);
    assert_eq!(murmur2(b"foobar") as i32, -790_332_482);
    assert_eq!(murmur2(b"a-little-bit-long-string") as i32, -985_981_536);
    assert_eq!(murmur2(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8") as i32, -58_897_971);
    assert_eq!(murmur2(b"abc") as i32, 479_470_107);
}

#[test]
fn partitions_are_never_negative() {
    for n in 0..1000u32 {
        assert!((0..7).contains(&partition_of_key(&n.to_be_bytes(), 7)));
    }
}
