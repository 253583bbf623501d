//! A bell: nobody who waits for it sleeps over it.

use std::sync::Arc;

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering;
use loom::thread;

use crate::store::embedded::bell::Bell;

/// The bell is rung for one thing and then stopped, as a log that is closed right after a checkpoint became due: the thing
/// is seen, and the actor ends, though nobody's time ever runs out.
pub fn neither_a_ring_nor_the_end_is_slept_over() {
    loom::model(|| {
        let (bell, is_due) = (Arc::new(Bell::default()), Arc::new(AtomicBool::new(false)));
        let keeper = {
            let (bell, is_due) = (Arc::clone(&bell), Arc::clone(&is_due));
            thread::spawn(move || {
                while !is_due.load(Ordering::Relaxed) {
                    bell.wait(None);
                    bell.has_stopped();
                }
                while !bell.has_stopped() {
                    bell.wait(None);
                }
            })
        };
        is_due.store(true, Ordering::Relaxed);
        bell.ring();
        bell.stop();
        keeper.join().expect("ends");
    });
}
