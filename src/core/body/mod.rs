//! Bodies that are too large for memory: the handle that messages share, and their way in and out, of which a few
//! blocks at a time are in memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::core::Core;
use crate::core::error::CoreError;
use crate::core::inbox::Inbox;
use crate::core::log::bodies::Bodies;
use crate::core::log::bodies::BodyId;
use crate::core::model::message::Message;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::settle::Outcome;

mod download;
mod upload;

pub use download::Download;
pub use download::Part;
pub use upload::Upload;

/// A handle on a body's file, whole and not to be changed any more. The file goes with the last handle, unless the
/// log has a message with this body.
pub struct BodyFile {
    bodies: Arc<dyn Bodies>,
    id: BodyId,
    bytes: u64,
    /// Whether this start has written it, or read all of it.
    is_checked: AtomicBool,
}

impl BodyFile {
    /// A handle that was made with [`Bodies::begin`] or [`Bodies::open`].
    fn new(bodies: Arc<dyn Bodies>, id: BodyId, bytes: u64, is_checked: bool) -> Arc<Self> {
        Arc::new(Self {
            bodies,
            id,
            bytes,
            is_checked: AtomicBool::new(is_checked),
        })
    }

    /// A handle on the body of a message in the log.
    pub(in crate::core) fn open(bodies: &Arc<dyn Bodies>, id: BodyId, bytes: u64) -> Arc<Self> {
        bodies.open(id);
        Self::new(Arc::clone(bodies), id, bytes, false)
    }

    /// Names the file.
    pub fn id(&self) -> BodyId {
        self.id
    }

    /// Length of the body.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it is, for people.
    fn place(&self) -> String {
        self.bodies.place(self.id)
    }

    fn is_checked(&self) -> bool {
        self.is_checked.load(Ordering::Relaxed)
    }

    fn set_checked(&self) {
        self.is_checked.store(true, Ordering::Relaxed);
    }
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        self.bodies.release(self.id);
    }
}

impl fmt::Debug for BodyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyFile")
            .field("id", &self.id)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Download {
    /// Begins to read a body that is no queue's message.
    pub fn of_file(file: Arc<BodyFile>, inbox: &Arc<Inbox>) -> Self {
        Self::begin(file, inbox)
    }
}

impl Core {
    /// Begins a body of `bytes`, which comes in pieces. `durable` as its message is. `inbox` hears
    /// [`crate::core::inbox::Event::BodyMoved`] when one that was behind may go on, and when it is finished.
    pub fn upload(&self, bytes: u64, durable: bool, inbox: &Arc<Inbox>) -> Upload {
        Upload::begin(
            self.inner.store.bodies(),
            &self.inner.budget,
            bytes,
            durable,
            inbox,
        )
    }

    /// Begins to read the body of a message, if that is in a file. `inbox` hears
    /// [`crate::core::inbox::Event::BodyMoved`] when there is more of it.
    pub fn download(&self, message: &Message, inbox: &Arc<Inbox>) -> Option<Download> {
        let file = message.body_file()?;
        Some(Download::begin(Arc::clone(file), inbox))
    }

    /// The body of a message cannot be read back: its queue is quarantined, and the entry stays in it. `lease` is that of
    /// whoever found out, which ends; none if the take settled it, so that the entry is gone already.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`].
    pub fn body_damaged(
        &self,
        queue: &Arc<Queue>,
        body: &BodyFile,
        lease: Option<LeaseRef>,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        let why = format!("{}: the body of a message is damaged", body.place());
        self.inner.quarantine.put_for_message(queue, &why.into());
        if let Some(lease) = lease {
            let outcome = Outcome::Release { counted: false };
            self.settle(queue, &[lease], outcome, now)?;
        }
        Ok(())
    }
}
