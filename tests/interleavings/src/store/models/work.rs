//! Work that one thread does for others: none is lost, none is done twice.

use std::sync::Arc;

use loom::thread;

use crate::core::log::store::Waiter;
use crate::core::model::ids::Shard;
use crate::store::work::Later;
use crate::store::work::WorkQueue;

/// What was asked for before the queue was stopped is done, first come, first served; then the worker ends.
pub fn what_was_asked_for_is_done_before_the_end() {
    loom::model(|| {
        let queue = Arc::new(WorkQueue::new());
        let asking = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.push(1);
                queue.push(2);
                queue.stop();
            })
        };
        let done: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(done, [1, 2]);
        asking.join().expect("asks");
    });
}

/// Two ask, each for something: the worker sleeps over neither.
pub fn nobodys_work_is_slept_over() {
    loom::model(|| {
        let queue = Arc::new(WorkQueue::new());
        let asking = [1, 2].map(|work| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(work))
        });
        let mut done = [queue.next(), queue.next()];
        done.sort_unstable();
        assert_eq!(done, [Some(1), Some(2)]);
        for asker in asking {
            asker.join().expect("asks");
        }
    });
}

/// A read waits for the watermark, and hears of it from the writer and of a failure from another thread.
pub fn what_waited_for_the_watermark_is_done_once() {
    loom::model(|| {
        let queue = Arc::new(WorkQueue::new());
        let later = Later::new(&queue, "read");
        let failing = {
            let later = Arc::clone(&later);
            thread::spawn(move || later.watermark_moved(Shard(0)))
        };
        later.watermark_moved(Shard(0));
        failing.join().expect("fails");
        assert_eq!(queue.try_next(), Some("read"));
        assert_eq!(queue.try_next(), None);
    });
}
