//! Large bodies of a store without a disk: whatever is asked is answered at once.

use std::collections::HashMap;
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
                writers: HashMap::new(),
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

    /// Number of bodies.
    pub(super) fn len(&self) -> usize {
        self.files.lock().blocks.len()
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
        let bytes = block.len();
        let writer = {
            let mut files = self.files.lock();
            if let Some(blocks) = files.blocks.get_mut(&body) {
                blocks.push(block.into());
            }
            files.writers.get(&body).cloned()
        };
        if let Some(writer) = writer {
            writer.written(bytes);
        }
    }

    fn finish(&self, body: BodyId) {
        let writer = self.files.lock().writers.remove(&body);
        if let Some(writer) = writer {
            writer.ended(Ok(()));
        }
    }

    fn open(&self, body: BodyId) {
        self.handles.open(body);
    }

    fn read(&self, body: BodyId, bytes: u64, block: u64, reader: Arc<dyn BodyReader>) {
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

    fn release(&self, body: BodyId) {
        if self.handles.release(body) {
            self.remove(body);
        }
    }
}
