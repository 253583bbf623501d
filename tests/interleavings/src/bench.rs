//! The load generator's gate.

#[path = "../../../src/cli/bench/gate.rs"]
mod gate;

pub mod models {
    //! What must hold of it.

    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Context;
    use std::task::Poll;
    use std::task::Waker;

    use loom::future::block_on;
    use loom::thread;

    use super::gate::Gate;

    /// Two producers wait for the room of one message each, which is freed one after the other.
    pub fn freed_room_wakes_who_waits() {
        loom::model(|| {
            let gate = Arc::new(Gate::new(1, 1));
            let cx = Context::from_waker(Waker::noop());
            assert_eq!(gate.poll_take(0, 1, &cx), Poll::Ready(1));
            let consumer = {
                let gate = Arc::clone(&gate);
                thread::spawn(move || gate.give(1))
            };
            assert_eq!(block_on(poll_fn(|cx| gate.poll_take(0, 1, cx))), 1);
            consumer.join().expect("gives");
        });
    }

    /// The cap holds whoever comes when.
    pub fn no_more_is_let_out_than_the_cap() {
        loom::model(|| {
            let gate = Arc::new(Gate::new(3, 2));
            let take = |gate: &Gate, producer| match gate.poll_take(
                producer,
                2,
                &Context::from_waker(Waker::noop()),
            ) {
                Poll::Ready(got) => got,
                Poll::Pending => 0,
            };
            let other = {
                let gate = Arc::clone(&gate);
                thread::spawn(move || take(&gate, 1))
            };
            let mine = take(&gate, 0);
            assert_eq!(mine + other.join().expect("takes"), 3);
        });
    }
}
