//! What core asks of a store for bodies too large for memory (SEMANTICS §14): files of their own, written and
//! read in blocks.
//!
//! ```text
//! begin ─► append × n ─► finish ─► (read × n) ─► release        a handle of its own each: begin, open
//!                                └► a publish that names it: kept until its last record dies, too
//! ```

use std::sync::Arc;

use bytes::Bytes;

/// A body of this many bytes or more is kept in a file of its own.
pub const LARGE_BODY_BYTES: u64 = 1024 * 1024;

/// Bytes of a body in one block; only its last block is shorter.
pub const BODY_BLOCK_BYTES: usize = 64 * 1024;

/// Names the file of a body: the start that began it in the upper half, a serial number below. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyId(pub u64);

/// Why a body could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The disk is full.
    #[error("no space left for the body")]
    Full,
    /// The disk refused.
    #[error("the disk failed")]
    Failed,
    /// What is there is not what was written, or nothing is there.
    #[error("the body is damaged")]
    Damaged,
}

/// Whoever writes a body. Called from the store's threads, or from within a call of [`Bodies`]: it must be quick and
/// take no lock but its own.
pub trait BodyWriter: Send + Sync {
    /// So many bytes of blocks were taken over by the system.
    fn written(&self, bytes: usize);
    /// All of it is written, and survives a power cut if it has to; or it never will be, also before
    /// [`Bodies::finish`]. Once.
    fn ended(&self, outcome: Result<(), BodyError>);
}

/// Whoever reads a body. Called as [`BodyWriter`] is.
pub trait BodyReader: Send + Sync {
    /// A block that was asked for.
    fn read(&self, block: u64, bytes: Result<Bytes, BodyError>);
}

/// The files of large bodies.
///
/// Every method may be called with locks held, and does no IO on the caller's thread.
pub trait Bodies: Send + Sync {
    /// Begins a body, with a handle for the caller. A file that is not durable is never synced, unless a record
    /// names it.
    fn begin(&self, durable: bool, writer: Arc<dyn BodyWriter>) -> BodyId;

    /// Adds a block of [`BODY_BLOCK_BYTES`], or a shorter last one.
    fn append(&self, body: BodyId, block: Vec<u8>);

    /// Says that the last block was added.
    fn finish(&self, body: BodyId);

    /// Makes another handle of a body that a live record names.
    fn open(&self, body: BodyId);

    /// Reads block number `block` of a body of `bytes`, counted from 0.
    fn read(&self, body: BodyId, bytes: u64, block: u64, reader: Arc<dyn BodyReader>);

    /// Where a body is kept, for people.
    fn place(&self, body: BodyId) -> String;

    /// Gives a handle back. With the last one the file goes, unless a live record names it; then it goes with that.
    fn release(&self, body: BodyId);
}
