use std::collections::BTreeMap;

use super::*;

/// Names of the threads that `count` tasks ran on, all of them alive at once.
async fn threads_of(network: &NetworkThreads, count: usize) -> BTreeMap<String, usize> {
    let mut tasks = JoinSet::new();
    let barrier = Arc::new(tokio::sync::Barrier::new(count));
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    for _ in 0..count {
        let (barrier, seen) = (Arc::clone(&barrier), Arc::clone(&seen));
        network.spawn(&mut tasks, async move {
            barrier.wait().await;
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            *seen.lock().unwrap().entry(name).or_default() += 1;
        });
    }
    while tasks.join_next().await.is_some() {}
    seen.lock().unwrap().clone()
}

#[tokio::test]
async fn tasks_spread_evenly_over_the_threads() {
    let network = NetworkThreads::start(3).unwrap();
    let seen = threads_of(&network, 9).await;
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["net-0", "net-1", "net-2"].map(|n| (n.to_owned(), 3)));
    network.stop();
}

#[tokio::test]
async fn an_ended_task_makes_room_on_its_thread() {
    let network = NetworkThreads::start(2).unwrap();
    let mut tasks = JoinSet::new();
    network.spawn(&mut tasks, std::future::pending());
    // However many came and went on the other thread, it is still the one with the fewest.
    for _ in 0..3 {
        assert_eq!(threads_of(&network, 1).await.into_keys().collect::<Vec<_>>(), ["net-1"]);
    }
    network.stop();
}

#[tokio::test]
async fn stop_drops_what_still_runs() {
    let network = NetworkThreads::start(1).unwrap();
    let (mut tasks, alive) = (JoinSet::new(), Arc::new(()));
    let held = Arc::clone(&alive);
    network.spawn(&mut tasks, async move {
        std::future::pending::<()>().await;
        drop(held);
    });
    network.stop();
    assert!(tasks.join_next().await.is_some_and(|ended| ended.is_err_and(|error| error.is_cancelled())));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test]
async fn without_threads_tasks_run_where_they_are_spawned() {
    let here = std::thread::current().name().unwrap_or_default().to_owned();
    assert_eq!(threads_of(&NetworkThreads::none(), 2).await, BTreeMap::from([(here, 2)]));
}
