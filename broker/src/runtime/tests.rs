use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;

#[test]
fn a_pool_runs_jobs_side_by_side() {
    let pool = WorkPool::start("side", 4).unwrap();
    // Each job waits for all four: with fewer threads than jobs this would never end.
    let barrier = Arc::new(std::sync::Barrier::new(4));
    let (done, all) = mpsc::channel();
    for _ in 0..4 {
        let barrier = Arc::clone(&barrier);
        let done = done.clone();
        pool.submit(Box::new(move || {
            barrier.wait();
            done.send(thread::current().name().map(str::to_owned)).unwrap();
        }));
    }
    let mut names: Vec<_> = all.iter().take(4).flatten().collect();
    names.sort();
    assert_eq!(names, ["side-0", "side-1", "side-2", "side-3"]);
    pool.stop();
}

#[test]
fn stop_finishes_what_was_queued_and_later_jobs_run_inline() {
    let pool = WorkPool::start("stop", 1).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let ran = Arc::clone(&ran);
        pool.submit(Box::new(move || {
            ran.fetch_add(1, Ordering::Relaxed);
        }));
    }
    pool.stop();
    assert_eq!(ran.load(Ordering::Relaxed), 100);
    let late = Arc::clone(&ran);
    pool.submit(Box::new(move || {
        late.fetch_add(1, Ordering::Relaxed);
    }));
    assert_eq!(ran.load(Ordering::Relaxed), 101);
}

#[test]
fn an_inline_pool_runs_on_the_submitting_thread() {
    let pool = Runtimes::single().sync;
    assert!(pool.is_inline());
    let here = thread::current().id();
    let (tell, told) = mpsc::channel();
    pool.submit(Box::new(move || tell.send(thread::current().id()).unwrap()));
    assert_eq!(told.try_recv().unwrap(), here);
}

#[test]
fn a_job_that_panics_leaves_the_pool_its_threads() {
    let pool = WorkPool::start("panic", 1).unwrap();
    pool.submit(Box::new(|| panic!("on purpose")));
    let (tell, told) = mpsc::channel();
    pool.submit(Box::new(move || tell.send(()).unwrap()));
    told.recv().unwrap();
    pool.stop();
}
