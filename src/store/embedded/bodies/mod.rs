//! Large bodies: `big/<id>`, a file each. One actor writes and removes, another reads; whoever asks never waits for
//! either.
//!
//! A file is removed by the one that writes, so that it never meets an append of an upload that was given up.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use crate::core::log::bodies::Bodies;
use crate::core::log::bodies::BodyId;
use crate::core::log::bodies::BodyReader;
use crate::core::log::bodies::BodyWriter;
use crate::telemetry::Metrics;

use crate::store::handles::Handles;
use crate::store::work::Polled;
use crate::store::work::WorkQueue;

use super::crew::Acted;
use super::crew::Actor;
use super::disk::Disk;

mod block;
mod folder;
mod inspect;
mod reading;
mod writing;

use folder::Folder;
use reading::Read;
use reading::Reading;
use writing::Write;
use writing::Writing;

pub(super) use folder::name as file_name;
pub(super) use folder::parse as parse_name;
pub(super) use inspect::Flaw;
pub(super) use inspect::Inspection;
pub(super) use inspect::Seen;

/// The large bodies of a data dir.
pub(crate) struct BigFiles {
    folder: Folder,
    handles: Handles,
    next: AtomicU64,
    writes: WorkQueue<Write>,
    writing: Mutex<Writing>,
    reads: WorkQueue<Job>,
    reading: Mutex<Reading>,
    pinned: Mutex<Pinned>,
}

/// Files that are to stay for a while.
#[derive(Default)]
struct Pinned {
    pins: usize,
    /// Those that nobody else needs any more.
    waiting: Vec<BodyId>,
}

/// Work for the thread that reads.
enum Job {
    Read(Read),
    Forget(BodyId),
}

impl BigFiles {
    /// The bodies in `folder`, which is made if it is missing. New ones are named after this start.
    pub(super) fn open(
        folder: &Path,
        disk: Arc<dyn Disk>,
        metrics: Arc<Metrics>,
        incarnation: u64,
    ) -> io::Result<Self> {
        disk.make_dir(folder)?;
        let folder = Folder::new(folder.to_owned(), disk, metrics);
        folder.list()?;
        Ok(Self {
            folder,
            handles: Handles::default(),
            next: AtomicU64::new((incarnation << 32) | 1),
            writes: WorkQueue::new(),
            writing: Mutex::default(),
            reads: WorkQueue::new(),
            reading: Mutex::default(),
            pinned: Mutex::default(),
        })
    }

    /// The folder that they are in.
    pub(super) fn folder(&self) -> &Path {
        self.folder.folder()
    }

    /// Records name these. Under the log's lock.
    pub(super) fn named(&self, bodies: &[BodyId]) {
        for body in bodies {
            self.handles.named(*body);
        }
    }

    /// No record names it any more. Under the log's lock.
    pub(super) fn ended(&self, body: BodyId) {
        if self.handles.ended(body) {
            self.remove(body);
        }
    }

    /// Removes what the log's records do not name: uploads that were given up, transient messages of an earlier start.
    pub(super) fn keep(&self, named: &HashMap<BodyId, u64>) {
        self.folder.keep(named);
    }

    /// Whether a body's file is known to survive a power cut.
    pub(super) fn is_durable(&self, body: BodyId) -> bool {
        self.folder.is_synced(body)
    }

    /// Makes it so, on the caller's thread.
    pub(super) fn make_durable(&self, body: BodyId) -> io::Result<()> {
        self.folder.make_durable(body)
    }

    /// Leaves the files as they are that nobody needs any more, until [`Self::unpin`].
    pub(super) fn pin(&self) {
        self.pinned.lock().pins += 1;
    }

    /// Ends one [`Self::pin`].
    pub(super) fn unpin(&self) {
        let waiting = {
            let mut pinned = self.pinned.lock();
            pinned.pins -= 1;
            match pinned.pins {
                0 => std::mem::take(&mut pinned.waiting),
                _ => Vec::new(),
            }
        };
        for body in waiting {
            self.writes.push(Write::Remove(body));
        }
    }

    fn remove(&self, body: BodyId) {
        let mut pinned = self.pinned.lock();
        if pinned.pins > 0 {
            pinned.waiting.push(body);
        } else {
            drop(pinned);
            self.writes.push(Write::Remove(body));
        }
    }

    fn write_step(&self, job: Write) {
        let removed = self.writing.lock().step(&self.folder, job);
        if let Some(body) = removed {
            // Not before: a read that somebody gave up on may still wait, and would open the file again.
            self.reads.push(Job::Forget(body));
        }
    }

    fn read_step(&self, job: &Job) {
        let mut reading = self.reading.lock();
        match job {
            Job::Read(read) => reading.step(&self.folder, read),
            Job::Forget(body) => reading.forget(*body),
        }
    }

    /// Does everything that waits, on the caller's thread.
    #[cfg(test)]
    pub(super) fn step(&self) -> bool {
        let mut is_busy = false;
        while let Some(job) = self.writes.try_next() {
            self.write_step(job);
            is_busy = true;
        }
        while let Some(job) = self.reads.try_next() {
            self.read_step(&job);
            is_busy = true;
        }
        is_busy
    }

    /// Lets both actors end once they have done what waits.
    pub(super) fn stop(&self) {
        self.writes.stop();
        self.reads.stop();
    }
}

/// Writes and removes.
pub(super) struct Writes(pub(super) Arc<BigFiles>);

impl Actor for Writes {
    fn act(&mut self, _: Instant) -> Acted {
        match self.0.writes.poll() {
            Polled::Work(job) => self.0.write_step(job),
            Polled::Nothing => return Acted::Rests(None),
            Polled::Ended => return Acted::Ended,
        }
        Acted::Done
    }

    fn rest(&mut self, _: Option<Duration>) {
        self.0.writes.wait();
    }
}

/// Reads.
pub(super) struct Reads(pub(super) Arc<BigFiles>);

impl Actor for Reads {
    fn act(&mut self, _: Instant) -> Acted {
        match self.0.reads.poll() {
            Polled::Work(job) => self.0.read_step(&job),
            Polled::Nothing => return Acted::Rests(None),
            Polled::Ended => return Acted::Ended,
        }
        Acted::Done
    }

    fn rest(&mut self, _: Option<Duration>) {
        self.0.reads.wait();
    }
}

impl Bodies for BigFiles {
    fn begin(&self, durable: bool, writer: Arc<dyn BodyWriter>) -> BodyId {
        let body = BodyId(self.next.fetch_add(1, Ordering::Relaxed));
        self.handles.begin(body);
        self.writes.push(Write::Begin(body, durable, writer));
        body
    }

    fn append(&self, body: BodyId, block: Vec<u8>) {
        self.writes.push(Write::Append(body, block));
    }

    fn finish(&self, body: BodyId) {
        self.writes.push(Write::Finish(body));
    }

    fn open(&self, body: BodyId) {
        self.handles.open(body);
    }

    fn read(&self, body: BodyId, bytes: u64, block: u64, reader: Arc<dyn BodyReader>) {
        self.reads.push(Job::Read(Read {
            body,
            bytes,
            block,
            reader,
        }));
    }

    fn place(&self, body: BodyId) -> String {
        self.folder.path(body).display().to_string()
    }

    fn release(&self, body: BodyId) {
        if self.handles.release(body) {
            self.remove(body);
        }
    }
}

#[cfg(test)]
mod tests;
