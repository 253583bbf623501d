//! An inbox: what is posted is found, and whoever waits is woken.

use std::sync::Arc;

use loom::future::block_on;
use loom::thread;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;

/// Three threads post to one session, which sleeps whenever it finds nothing.
pub fn no_event_is_slept_over() {
    loom::model(|| {
        let inbox = Inbox::new();
        let posting = [Event::Ready(1), Event::WatermarkMoved].map(|event| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || inbox.post(event))
        });
        let mut events = [block_on(inbox.next()), block_on(inbox.next())];
        events.sort_by_key(|event| *event == Event::WatermarkMoved);
        assert_eq!(events, [Event::Ready(1), Event::WatermarkMoved]);
        assert_eq!(inbox.try_next(), None, "an event came twice");
        for poster in posting {
            poster.join().expect("posts");
        }
    });
}

/// One notice of a kind stands for many, but never for one that comes after it was taken.
pub fn a_notice_that_comes_after_one_was_taken_is_another() {
    loom::model(|| {
        let inbox = Inbox::new();
        let moved = Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let writer = {
            let (inbox, moved) = (Arc::clone(&inbox), Arc::clone(&moved));
            thread::spawn(move || {
                for number in 1..=2 {
                    moved.store(number, loom::sync::atomic::Ordering::Relaxed);
                    inbox.post(Event::WatermarkMoved);
                }
            })
        };
        while moved.load(loom::sync::atomic::Ordering::Relaxed) < 2 {
            assert_eq!(block_on(inbox.next()), Event::WatermarkMoved);
        }
        writer.join().expect("posts");
    });
}
