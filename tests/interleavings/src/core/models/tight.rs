//! Notes that memory is short: one is never thrown away by who thinks that there is enough.

use std::sync::Arc;

use loom::thread;

use crate::core::budget::Budget;
use crate::core::tight::Tight;

/// Memory that may be in use before something is put aside.
const CACHE_BYTES: u64 = 100;

/// A push finds too much in use while house is kept: either it is dealt with, or the note is there for the next time.
pub fn a_note_is_answered_or_stays() {
    loom::model(|| {
        let (tight, budget) = (Arc::new(Tight::default()), Budget::new(1_000));
        let pushers = [60, 70].map(|bytes| {
            let (tight, budget) = (Arc::clone(&tight), Arc::clone(&budget));
            thread::spawn(move || {
                let charge = budget.charge(bytes);
                if budget.used() > CACHE_BYTES {
                    tight.note();
                }
                charge
            })
        });
        // As Core::squeeze does.
        let is_squeezed = tight.take() && budget.used() > CACHE_BYTES;
        let charges = pushers.map(|pusher| pusher.join().expect("pushes"));
        assert!(is_squeezed || tight.is_noted(), "nobody makes room");
        drop(charges);
    });
}
