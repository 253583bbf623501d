//! A body on its way in.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::body::BodyFile;
use crate::core::budget::Budget;
use crate::core::budget::Charge;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::Bodies;
use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyWriter;

/// Bytes that wait to be written at the most: a sender of more is behind.
const UNWRITTEN_MAX_BYTES: usize = 2 * BODY_BLOCK_BYTES;

/// What an upload is charged for: what waits, the block that is filled, and the buffer that it is filled from.
const CHARGED_BYTES: u64 = 256 * 1024;

/// Room for what a store puts behind a block.
const BLOCK_ROOM_BYTES: usize = BODY_BLOCK_BYTES + 16;

/// A body that is being written. Dropped before it was taken, it leaves nothing behind.
pub struct Upload {
    file: Arc<BodyFile>,
    block: Vec<u8>,
    missing: u64,
    progress: Arc<Progress>,
    is_finishing: bool,
    _charge: Charge,
}

/// What the store says.
struct Progress {
    inbox: Arc<Inbox>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    unwritten: usize,
    /// Whether the sender waits to be told.
    waits: bool,
    ended: Option<Result<(), BodyError>>,
}

impl Upload {
    pub(super) fn begin(
        bodies: &Arc<dyn Bodies>,
        budget: &Arc<Budget>,
        bytes: u64,
        durable: bool,
        inbox: &Arc<Inbox>,
    ) -> Self {
        let progress = Arc::new(Progress {
            inbox: Arc::clone(inbox),
            state: Mutex::default(),
        });
        let writer = Arc::clone(&progress) as Arc<dyn BodyWriter>;
        let id = bodies.begin(durable, writer);
        Self {
            file: BodyFile::new(Arc::clone(bodies), id, bytes, true),
            block: Vec::new(),
            missing: bytes,
            progress,
            is_finishing: false,
            _charge: budget.charge(CHARGED_BYTES),
        }
    }

    /// Bytes that are still to come.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Adds the next bytes; those beyond the announced end are left out.
    pub fn add(&mut self, bytes: &[u8]) {
        let most = usize::try_from(self.missing).unwrap_or(usize::MAX);
        let mut rest = bytes.get(..most).unwrap_or(bytes);
        self.missing -= rest.len() as u64;
        while !rest.is_empty() {
            if self.block.capacity() == 0 {
                self.block.reserve_exact(BLOCK_ROOM_BYTES);
            }
            let room = BODY_BLOCK_BYTES - self.block.len();
            let (now, later) = rest.split_at(rest.len().min(room));
            self.block.extend_from_slice(now);
            rest = later;
            if self.block.len() == BODY_BLOCK_BYTES {
                self.hand_over();
            }
        }
        if self.missing == 0 && !std::mem::replace(&mut self.is_finishing, true) {
            self.hand_over();
            self.file.bodies.finish(self.file.id);
        }
    }

    fn hand_over(&mut self) {
        if !self.block.is_empty() {
            let block = std::mem::take(&mut self.block);
            self.progress.state.lock().unwritten += block.len();
            self.file.bodies.append(self.file.id, block);
        }
    }

    /// Whether the sender must wait: for blocks to be written, or for the end. [`Event::BodyMoved`] says when to ask
    /// again.
    pub fn is_behind(&self) -> bool {
        let mut state = self.progress.state.lock();
        let is_behind =
            state.ended.is_none() && (self.is_finishing || state.unwritten >= UNWRITTEN_MAX_BYTES);
        state.waits = is_behind;
        is_behind
    }

    /// How it ended: whole and as durable as it has to be, or not at all. None as long as it goes on.
    pub fn ended(&self) -> Option<Result<(), BodyError>> {
        self.progress.state.lock().ended
    }

    /// The body, for the message. Only one that has ended well is worth anything.
    pub fn into_file(self) -> Arc<BodyFile> {
        self.file
    }
}

impl BodyWriter for Progress {
    fn written(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.unwritten = state.unwritten.saturating_sub(bytes);
        // The end is told apart: waking a sender that waits for that would be for nothing, but harmless.
        let wakes = state.unwritten < UNWRITTEN_MAX_BYTES && std::mem::take(&mut state.waits);
        drop(state);
        if wakes {
            self.inbox.post(Event::BodyMoved);
        }
    }

    fn ended(&self, outcome: Result<(), BodyError>) {
        self.state.lock().ended.get_or_insert(outcome);
        self.inbox.post(Event::BodyMoved);
    }
}
