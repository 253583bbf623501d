//! Files of large bodies: whoever needs one last removes it, and nobody else does.

use std::sync::Arc;

use loom::thread;

use crate::core::log::bodies::BodyId;
use crate::store::handles::Handles;

const BODY: BodyId = BodyId(1);

/// An upload is published and lets go of its handle while a consumer settles the message.
pub fn an_upload_that_is_settled_at_once_goes_once() {
    loom::model(|| {
        let handles = Arc::new(Handles::default());
        handles.begin(BODY);
        handles.named(BODY);
        let settled = {
            let handles = Arc::clone(&handles);
            thread::spawn(move || handles.ended(BODY))
        };
        let released = handles.release(BODY);
        let settled = settled.join().expect("settles");
        assert!(released != settled, "{released} and {settled}");
        assert!(!handles.has(BODY));
    });
}

/// Two deliveries are done with a body while its last record ends.
pub fn the_last_of_several_removes_a_body() {
    loom::model(|| {
        let handles = Arc::new(Handles::default());
        handles.open(BODY);
        handles.open(BODY);
        let delivered = {
            let handles = Arc::clone(&handles);
            thread::spawn(move || handles.release(BODY))
        };
        let settled = {
            let handles = Arc::clone(&handles);
            thread::spawn(move || handles.ended(BODY))
        };
        let removals = [
            handles.release(BODY),
            delivered.join().expect("delivers"),
            settled.join().expect("settles"),
        ];
        assert_eq!(removals.iter().filter(|is| **is).count(), 1);
    });
}
