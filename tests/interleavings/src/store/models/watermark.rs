//! The watermark: nobody is told too early, too late or never.

use std::sync::Arc;

use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering;
use loom::thread;

use crate::core::log::store::Waiter;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::sync::Condvar;
use crate::core::sync::Mutex;
use crate::store::journal::Waiters;
use crate::store::watermark::AtomicWatermark;

/// What a log has of this: the waiters under its lock, and the watermark beside it.
#[derive(Default)]
struct Log {
    watermark: AtomicWatermark,
    waiters: Mutex<Waiters>,
    /// The last record that the disk has. Not synchronised by itself, as the pages that the writer wrote are not.
    on_disk: AtomicU64,
}

impl Log {
    /// As the writer does it.
    fn write(&self, number: u64) {
        self.on_disk.store(number, Ordering::Relaxed);
        let mut woken = Vec::new();
        let mut waiters = self.waiters.lock();
        waiters.reach(&self.watermark, number, &mut woken);
        drop(waiters);
        wake(woken);
    }

    fn fail(&self) {
        let mut woken = Vec::new();
        self.waiters.lock().fail(&self.watermark, &mut woken);
        wake(woken);
    }

    /// As `Store::wait` does it.
    fn wait(&self, number: u64, waiter: &Arc<Caller>) {
        let waiter = Arc::clone(waiter) as Arc<dyn Waiter>;
        let answered = self.waiters.lock().wait(&self.watermark, number, waiter);
        wake(answered);
    }
}

fn wake(woken: impl IntoIterator<Item = Arc<dyn Waiter>>) {
    for waiter in woken {
        waiter.watermark_moved(Shard(0));
    }
}

/// Counts its calls.
#[derive(Default)]
struct Caller {
    calls: Mutex<u64>,
    called: Condvar,
}

impl Caller {
    /// Sleeps until it was called.
    fn sleep(&self) {
        let mut calls = self.calls.lock();
        while *calls == 0 {
            self.called.wait(&mut calls);
        }
    }
}

impl Waiter for Caller {
    fn watermark_moved(&self, _shard: Shard) {
        *self.calls.lock() += 1;
        self.called.notify_one();
    }
}

fn covers(watermark: Watermark, number: u64) -> bool {
    watermark.covers(Lsn::new(Shard(0), number).expect("a number"))
}

/// Publishers wait for their records while the writer writes them: each is called once, and not before it is true.
pub fn who_waits_is_called_once_and_not_too_early() {
    loom::model(|| {
        let log = Arc::new(Log::default());
        let writer = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                log.write(1);
                log.write(2);
            })
        };
        let publishers = [1, 2].map(|number| {
            let caller = Arc::new(Caller::default());
            log.wait(number, &caller);
            (number, caller)
        });
        for (number, caller) in &publishers {
            caller.sleep();
            assert!(covers(log.watermark.get(), *number), "a confirm too early");
        }
        writer.join().expect("writes");
        assert!(
            publishers
                .iter()
                .all(|(_, caller)| *caller.calls.lock() == 1)
        );
    });
}

/// A sync fails while somebody begins to wait for it: it is told, and nothing is confirmed after that.
pub fn who_waits_for_what_fails_is_told() {
    loom::model(|| {
        let log = Arc::new(Log::default());
        let failing = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.fail())
        };
        let writer = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.write(1))
        };
        let caller = Arc::new(Caller::default());
        log.wait(2, &caller);
        caller.sleep();
        assert_eq!(log.watermark.get(), Watermark::Failed);
        failing.join().expect("fails");
        writer.join().expect("writes");
        assert_eq!(*caller.calls.lock(), 1);
        assert!(log.watermark.has_failed(), "a failure stays one");
    });
}

/// Whoever reads the watermark without the lock finds on disk what it covers.
pub fn what_is_covered_is_on_disk_for_whoever_looks() {
    loom::model(|| {
        let log = Arc::new(Log::default());
        let writer = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                log.write(1);
                log.write(2);
            })
        };
        let Watermark::Durable(upto) = log.watermark.get() else {
            panic!("nothing failed");
        };
        assert!(log.on_disk.load(Ordering::Relaxed) >= upto);
        if log.watermark.answers(2) {
            assert_eq!(log.on_disk.load(Ordering::Relaxed), 2);
        }
        writer.join().expect("writes");
    });
}
