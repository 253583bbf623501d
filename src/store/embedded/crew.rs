//! Who does the log's work: *actors*, each of which goes from step to step. In a broker each has a thread of its own,
//! which waits where the actor rests; a simulation takes their steps itself, in any order and at any time that it likes.
//!
//! INVARIANT: a step never waits for another actor, and learns the time from nobody but its caller.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acted {
    /// Something; there may be more to do at once.
    Done,
    /// There is nothing to do before it is told so, or before so long has passed.
    Rests(Option<Duration>),
    /// The log is being closed: there is no further step.
    Ended,
}

/// Something of the log that works by itself.
pub(super) trait Actor: Send {
    /// Does a bounded piece of what there is to do, if there is anything.
    fn act(&mut self, now: Instant) -> Acted;

    /// Waits after a step that said [`Acted::Rests`], for as long as it said or until there is something to do.
    fn rest(&mut self, most: Option<Duration>);
}

/// Lets actors act, until they end.
pub(super) trait Crew: Send + Sync {
    /// Takes on an actor: the thread to wait for, if it has one.
    fn hire(&self, name: &str, actor: Box<dyn Actor>) -> io::Result<Option<JoinHandle<()>>>;
}

/// A thread for each.
pub(super) struct Threads;

impl Crew for Threads {
    fn hire(&self, name: &str, actor: Box<dyn Actor>) -> io::Result<Option<JoinHandle<()>>> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || run(actor)).map(Some)
    }
}

/// The body of an actor's thread.
#[expect(
    clippy::disallowed_methods,
    reason = "waits on the system's clock, paces the disk, and measures it"
)]
fn run(mut actor: Box<dyn Actor>) {
    loop {
        match actor.act(Instant::now()) {
            Acted::Done => {}
            Acted::Rests(most) => actor.rest(most),
            Acted::Ended => return,
        }
    }
}
