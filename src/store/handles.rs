//! Who still needs the file of a large body: handles, and records.

use std::collections::HashMap;

use crate::core::log::bodies::BodyId;
use crate::core::sync::Mutex;

/// Counts the handles of each body that has one. A body without is there for the records that name it.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    of: Mutex<HashMap<BodyId, Held>>,
}

#[derive(Debug, Default)]
struct Held {
    handles: u64,
    /// Whether a live record names it.
    is_named: bool,
}

impl Handles {
    /// A body was begun: its first handle.
    pub(crate) fn begin(&self, body: BodyId) {
        self.of.lock().entry(body).or_default().handles += 1;
    }

    /// Another handle of a body that a record names.
    pub(crate) fn open(&self, body: BodyId) {
        let mut of = self.of.lock();
        let held = of.entry(body).or_default();
        held.handles += 1;
        held.is_named = true;
    }

    /// A record names it. Under the log's lock, as [`Self::ended`] is, so that both come in the log's order.
    pub(crate) fn named(&self, body: BodyId) {
        if let Some(held) = self.of.lock().get_mut(&body) {
            held.is_named = true;
        }
    }

    /// No record names it any more. True: nobody needs it.
    #[must_use]
    pub(crate) fn ended(&self, body: BodyId) -> bool {
        match self.of.lock().get_mut(&body) {
            Some(held) => {
                held.is_named = false;
                false
            }
            None => true,
        }
    }

    /// Whether it has a handle.
    pub(crate) fn has(&self, body: BodyId) -> bool {
        self.of.lock().contains_key(&body)
    }

    /// A handle was given back. True: nobody needs the body.
    #[must_use]
    pub(crate) fn release(&self, body: BodyId) -> bool {
        let mut of = self.of.lock();
        let Some(held) = of.get_mut(&body) else {
            return false;
        };
        held.handles -= 1;
        if held.handles > 0 {
            return false;
        }
        of.remove(&body).is_some_and(|held| !held.is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: BodyId = BodyId(1);

    #[test]
    fn a_body_without_a_record_goes_with_its_last_handle() {
        let handles = Handles::default();
        handles.begin(BODY);
        assert!(handles.release(BODY));
    }

    #[test]
    fn a_body_with_a_record_goes_with_what_comes_last() {
        let handles = Handles::default();
        handles.begin(BODY);
        handles.named(BODY);
        assert!(!handles.release(BODY));
        assert!(handles.ended(BODY), "the record was last");

        handles.open(BODY);
        handles.open(BODY);
        assert!(!handles.ended(BODY));
        assert!(!handles.release(BODY));
        assert!(handles.release(BODY), "a handle was last");
    }
}
