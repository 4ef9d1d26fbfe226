use super::*;

#[test]
fn every_partition_has_a_connection_and_every_connection_a_partition() {
    let leaders = Leaders::from([("a:1".to_owned(), vec![0, 2, 4]), ("b:1".to_owned(), vec![1, 3])]);
    for connections in 1..12 {
        let spread = spread(&leaders, connections);
        assert_eq!(spread.len(), connections.max(2));
        for (address, partitions) in &leaders {
            for partition in partitions {
                assert!(spread.iter().any(|(to, mine)| to == address && mine.contains(partition)));
            }
        }
        assert!(
            spread.iter().all(|(to, mine)| !mine.is_empty() && mine.iter().all(|p| leaders[to].contains(p)))
        );
    }
}
