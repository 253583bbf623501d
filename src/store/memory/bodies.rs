//! Large bodies of a store without a disk: whatever is asked is answered at once, until a test holds it back.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::Bodies;
use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyId;
use crate::core::log::bodies::BodyReader;
use crate::core::log::bodies::BodyWriter;

use crate::store::handles::Handles;

/// The bodies, in blocks.
#[derive(Default)]
pub(super) struct MemoryBodies {
    handles: Handles,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    last: u64,
    blocks: HashMap<BodyId, Vec<Bytes>>,
    writers: HashMap<BodyId, Arc<dyn BodyWriter>>,
    is_held: bool,
    held: VecDeque<Call>,
    is_full: bool,
}

/// What is held back.
enum Call {
    Append(BodyId, Vec<u8>),
    Finish(BodyId),
    Read(BodyId, u64, u64, Arc<dyn BodyReader>),
}

impl MemoryBodies {
    /// What a restart finds: what was finished, until it turns out that no record names it.
    pub(super) fn reopened(&self) -> Self {
        let files = self.files.lock();
        let mut blocks = files.blocks.clone();
        blocks.retain(|body, _| !files.writers.contains_key(body));
        Self {
            handles: Handles::default(),
            files: Mutex::new(Files {
                last: files.last,
                blocks,
                ..Files::default()
            }),
        }
    }

    /// Records name these.
    pub(super) fn named(&self, bodies: &[BodyId]) {
        for body in bodies {
            self.handles.named(*body);
        }
    }

    /// No record names it any more.
    pub(super) fn ended(&self, body: BodyId) {
        if self.handles.ended(body) {
            self.remove(body);
        }
    }

    /// Forgets what no record names, and nobody has a handle of.
    pub(super) fn keep(&self, named: &HashMap<BodyId, u64>) {
        let mut files = self.files.lock();
        let is_needed = |body: &BodyId| named.contains_key(body) || self.handles.has(*body);
        files.blocks.retain(|body, _| is_needed(body));
    }

    /// Holds back what is written and read, or lets it go on.
    pub(super) fn hold(&self, holds: bool) {
        self.files.lock().is_held = holds;
        while let Some(call) = self.next_held() {
            self.call(call);
        }
    }

    fn next_held(&self) -> Option<Call> {
        let mut files = self.files.lock();
        (!files.is_held).then(|| files.held.pop_front()).flatten()
    }

    /// Leaves no room for what is written, or some again.
    pub(super) fn fill(&self, is_full: bool) {
        self.files.lock().is_full = is_full;
    }

    /// Makes every body unreadable from this block on.
    pub(super) fn damage(&self, from: usize) {
        for blocks in self.files.lock().blocks.values_mut() {
            blocks.truncate(from);
        }
    }

    /// Number of bodies.
    pub(super) fn len(&self) -> usize {
        self.files.lock().blocks.len()
    }

    fn now_or_later(&self, call: Call) {
        let call = {
            let mut files = self.files.lock();
            match files.is_held {
                true => return files.held.push_back(call),
                false => call,
            }
        };
        self.call(call);
    }

    fn call(&self, call: Call) {
        match call {
            Call::Append(body, block) => self.append_now(body, block),
            Call::Finish(body) => self.finish_now(body, Ok(())),
            Call::Read(body, bytes, block, reader) => self.read_now(body, bytes, block, &*reader),
        }
    }

    fn append_now(&self, body: BodyId, block: Vec<u8>) {
        let bytes = block.len();
        let (writer, is_full) = {
            let mut files = self.files.lock();
            if let Some(blocks) = files.blocks.get_mut(&body) {
                blocks.push(block.into());
            }
            (files.writers.get(&body).cloned(), files.is_full)
        };
        match writer {
            Some(_) if is_full => {
                self.files.lock().blocks.remove(&body);
                self.finish_now(body, Err(BodyError::Full));
            }
            Some(writer) => writer.written(bytes),
            None => {}
        }
    }

    fn finish_now(&self, body: BodyId, outcome: Result<(), BodyError>) {
        let writer = self.files.lock().writers.remove(&body);
        if let Some(writer) = writer {
            writer.ended(outcome);
        }
    }

    fn read_now(&self, body: BodyId, bytes: u64, block: u64, reader: &dyn BodyReader) {
        let at = usize::try_from(block).unwrap_or(usize::MAX);
        let start = block.saturating_mul(BODY_BLOCK_BYTES as u64);
        let wanted = bytes.saturating_sub(start).min(BODY_BLOCK_BYTES as u64);
        let found = {
            let files = self.files.lock();
            let blocks = files.blocks.get(&body);
            blocks.and_then(|blocks| blocks.get(at)).cloned()
        };
        let is_right = |found: &Bytes| u64::try_from(found.len()) == Ok(wanted);
        reader.read(block, found.filter(is_right).ok_or(BodyError::Damaged));
    }

    fn remove(&self, body: BodyId) {
        let mut files = self.files.lock();
        files.blocks.remove(&body);
        files.writers.remove(&body);
    }
}

impl Bodies for MemoryBodies {
    fn begin(&self, _durable: bool, writer: Arc<dyn BodyWriter>) -> BodyId {
        let mut files = self.files.lock();
        files.last += 1;
        let body = BodyId(files.last);
        files.blocks.insert(body, Vec::new());
        files.writers.insert(body, writer);
        self.handles.begin(body);
        body
    }

    fn append(&self, body: BodyId, block: Vec<u8>) {
        self.now_or_later(Call::Append(body, block));
    }

    fn finish(&self, body: BodyId) {
        self.now_or_later(Call::Finish(body));
    }

    fn open(&self, body: BodyId) {
        self.handles.open(body);
    }

    fn read(&self, body: BodyId, bytes: u64, block: u64, reader: Arc<dyn BodyReader>) {
        self.now_or_later(Call::Read(body, bytes, block, reader));
    }

    fn place(&self, body: BodyId) -> String {
        format!("body {:016x}", body.0)
    }

    fn release(&self, body: BodyId) {
        if self.handles.release(body) {
            self.remove(body);
        }
    }
}
