//! How much of a deep queue is in memory, and in what portions the rest comes and goes.

/// Portions of paging. The defaults are right unless a test wants small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSizes {
    /// Entries of a chunk, 1 to 65,535: what is put aside at once.
    pub chunk_entries: u16,
    /// A chunk is full, too, once its bodies have so many bytes.
    pub chunk_bytes: u64,
    /// Entries that stay in memory ahead of the takers.
    pub window_entries: u64,
    /// Bytes of bodies that stay in memory ahead of the takers.
    pub window_bytes: u64,
    /// Entries of one read.
    pub piece_entries: u64,
    /// Bytes of bodies of one read.
    pub piece_bytes: u64,
    /// How much later than it could a chunk that was put aside is looked through again for what expires,
    /// in milliseconds. Takers never see what has expired; this is about counts and dead letters.
    pub sweep_ms: u64,
}

impl Default for PageSizes {
    /// Entries of a chunk take 32 KiB. The window is four reads: two are under way while two are taken.
    fn default() -> Self {
        Self {
            chunk_entries: 1024,
            chunk_bytes: 2 << 20,
            window_entries: 8192,
            window_bytes: 1 << 20,
            piece_entries: 2048,
            piece_bytes: 256 << 10,
            sweep_ms: 2_000,
        }
    }
}
