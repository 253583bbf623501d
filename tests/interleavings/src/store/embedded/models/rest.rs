//! Rest: the writer, and who puts things aside, never sleep over work.

use std::sync::Arc;

use loom::thread;

use crate::core::sync::Condvar;
use crate::core::sync::Mutex;
use crate::store::embedded::rest;
use crate::store::embedded::rest::Rest;

/// An actor and its work.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    kick: Condvar,
}

#[derive(Default)]
struct State {
    rest: Rest,
    /// What is to be done.
    pending: u64,
    /// Some of it does not wait for a doze to end.
    is_pressing: bool,
}

impl Desk {
    /// Brings work, as an append does.
    fn bring(&self, is_pressing: bool) {
        let must_kick = {
            let mut state = self.state.lock();
            state.pending += 1;
            state.is_pressing |= is_pressing;
            state.rest.must_kick(is_pressing)
        };
        if must_kick {
            self.kick.notify_one();
        }
    }

    /// Looks and rests as the writer does, until so much was done. What does not press is done with what does.
    fn work(&self, count: u64) {
        let mut done = 0;
        while done < count {
            let mut state = self.state.lock();
            if state.is_pressing {
                state.is_pressing = false;
                done += std::mem::take(&mut state.pending);
                continue;
            }
            state.rest = match state.pending {
                0 => Rest::Asleep,
                _ => Rest::Dozing,
            };
            drop(state);
            let mut state = self.state.lock();
            rest::sleep(&mut state, |state| &mut state.rest, &self.kick, None);
        }
    }
}

/// Two bring work at the same time.
pub fn work_is_not_slept_over() {
    run([true, true]);
}

/// Work that does not press waits for some that does, and with it.
pub fn what_presses_ends_a_doze() {
    run([false, true]);
}

fn run(pressing: [bool; 2]) {
    loom::model(move || {
        let desk = Arc::new(Desk::default());
        // The last that comes must press, or nothing would be done without a timer.
        let [first, last] = pressing;
        if !first {
            desk.bring(first);
        }
        let bringing = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.bring(last))
        };
        let other = first.then(|| {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.bring(true))
        });
        desk.work(2);
        bringing.join().expect("brings");
        if let Some(other) = other {
            other.join().expect("brings");
        }
        assert_eq!(desk.state.lock().pending, 0);
    });
}
