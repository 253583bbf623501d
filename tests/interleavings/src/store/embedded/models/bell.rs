//! A bell: nobody who waits for it sleeps over it.

use std::sync::Arc;

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering;
use loom::thread;

use crate::store::embedded::bell::Bell;

/// Something becomes due while the actor looks: it is seen, though nobody's time ever runs out.
pub fn a_ring_is_not_slept_over() {
    loom::model(|| {
        let (bell, is_due) = (Arc::new(Bell::default()), Arc::new(AtomicBool::new(false)));
        let keeper = {
            let (bell, is_due) = (Arc::clone(&bell), Arc::clone(&is_due));
            thread::spawn(move || {
                loop {
                    assert!(!bell.has_stopped());
                    if is_due.load(Ordering::Relaxed) {
                        break;
                    }
                    bell.wait(None);
                }
            })
        };
        is_due.store(true, Ordering::Relaxed);
        bell.ring();
        keeper.join().expect("sees it");
    });
}

/// The log is closed while the actor looks.
pub fn the_end_is_not_slept_over() {
    loom::model(|| {
        let bell = Arc::new(Bell::default());
        let keeper = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                while !bell.has_stopped() {
                    bell.wait(None);
                }
            })
        };
        bell.stop();
        keeper.join().expect("ends");
    });
}
