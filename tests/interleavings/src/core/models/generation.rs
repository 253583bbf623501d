//! Routes that are kept: whoever heard of a change uses none from before it.

use std::sync::Arc;

use loom::sync::RwLock;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering;
use loom::thread;

use crate::core::generation::Generation;

/// A vhost, of which only the number of its bindings matters.
struct Vhost {
    generation: Generation,
    bindings: RwLock<u64>,
    /// The client that bound has its answer.
    is_answered: AtomicBool,
}

/// One client binds and is answered; a publisher that heard of it does not use the route that it kept.
pub fn a_route_from_before_a_change_is_not_used_after_its_answer() {
    loom::model(|| {
        let vhost = Arc::new(Vhost {
            generation: Generation::first(),
            bindings: RwLock::new(0),
            is_answered: AtomicBool::new(false),
        });
        let binder = {
            let vhost = Arc::clone(&vhost);
            thread::spawn(move || {
                let mut bindings = vhost.bindings.write().expect("loom does not poison");
                *bindings += 1;
                vhost.generation.changed();
                drop(bindings);
                vhost.is_answered.store(true, Ordering::Release);
            })
        };
        let (kept, found) = {
            let bindings = vhost.bindings.read().expect("loom does not poison");
            (vhost.generation.get(), *bindings)
        };
        if vhost.is_answered.load(Ordering::Acquire) && vhost.generation.is(kept) {
            assert_eq!(found, 1, "the route is from before");
        }
        binder.join().expect("binds");
        assert_eq!(vhost.generation.is(kept), found == 1);
    });
}
