use super::*;

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn ranges_cover_every_partition_once() {
    let wanted =
        BTreeMap::from([("t".to_owned(), strings(&["b", "a", "c"])), ("u".to_owned(), strings(&["a"]))]);
    let counts = BTreeMap::from([("t".to_owned(), 7), ("u".to_owned(), 2)]);
    let assigned = range(&wanted, &counts);
    assert_eq!(assigned["a"]["t"], [0, 1, 2]);
    assert_eq!(assigned["b"]["t"], [3, 4]);
    assert_eq!(assigned["c"]["t"], [5, 6]);
    assert_eq!(assigned["a"]["u"], [0, 1]);
}

#[test]
fn members_beyond_the_partitions_get_none() {
    let wanted = BTreeMap::from([("t".to_owned(), strings(&["a", "b"]))]);
    let assigned = range(&wanted, &BTreeMap::from([("t".to_owned(), 1)]));
    assert_eq!(assigned["a"]["t"], [0]);
    assert!(!assigned.contains_key("b"));
}

#[test]
fn subscriptions_are_read_back() {
    let client = Client::new("localhost", Duration::from_secs(1));
    let member = GroupMember::new(&client, "g", strings(&["x", "y"]));
    assert_eq!(subscribed(&member.subscription()), strings(&["x", "y"]));
    assert!(subscribed(&Bytes::from_static(&[0])).is_empty());
    assert!(subscribed(&Bytes::from_static(&[0, 1, 255, 255])).is_empty());
}
