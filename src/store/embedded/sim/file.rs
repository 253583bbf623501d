//! A simulated file: what everybody reads, and what the disk has of it.

use super::random::Random;

/// What a disk writes at once, or not at all.
const SECTOR_BYTES: usize = 512;

/// A file. What is read is what was written last, whatever the disk has of it, as the page cache does it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimFile {
    /// What is read.
    pub(super) cached: Vec<u8>,
    /// What the disk has for sure.
    durable: Vec<u8>,
    /// Writes and cuts since the last sync, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// How much of what was not synced survives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Survival {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// Each sector by itself, so many in a hundred.
    Sectors(u64),
}

impl SimFile {
    /// Reads up to the end of `bytes` or of the file.
    pub(super) fn read(&self, bytes: &mut [u8], offset: usize) -> usize {
        let there = self.cached.get(offset..).unwrap_or_default();
        let read = there.len().min(bytes.len());
        bytes[..read].copy_from_slice(&there[..read]);
        read
    }

    /// Bytes by which a write makes the file longer.
    pub(super) fn growth(&self, offset: usize, len: usize) -> usize {
        (offset + len).saturating_sub(self.cached.len())
    }

    /// Writes.
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        put(&mut self.cached, bytes, offset);
        self.unsynced.push(Change::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }

    /// Cuts off, or adds zeros.
    pub(super) fn set_len(&mut self, len: usize) {
        self.cached.resize(len, 0);
        self.unsynced.push(Change::Length(len));
    }

    /// The disk has everything.
    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// A sync failed: the system takes the pages for clean, and part of them is on the disk.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        let survival = survival(random);
        self.settle(survival, random);
    }

    /// The power went and came back.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let survival = survival(random);
        self.settle(survival, random);
        self.cached.clone_from(&self.durable);
    }

    /// Flips a bit on the disk; false in an empty file.
    pub(super) fn flip_bit(&mut self, random: &mut Random) -> bool {
        if self.durable.is_empty() {
            return false;
        }
        let at = random.index(self.durable.len());
        let bit = 1 << random.below(8);
        self.durable[at] ^= bit;
        if let Some(byte) = self.cached.get_mut(at) {
            *byte ^= bit;
        }
        true
    }

    fn settle(&mut self, survival: Survival, random: &mut Random) {
        for change in std::mem::take(&mut self.unsynced) {
            match (survival, &change) {
                (Survival::None, _) => {}
                (Survival::All, _) => apply(&mut self.durable, &change),
                (Survival::Sectors(percent), Change::Write { offset, bytes }) => {
                    self.write_sectors(*offset, bytes, percent, random);
                }
                (Survival::Sectors(percent), Change::Length(_)) => {
                    if random.chance(percent) {
                        apply(&mut self.durable, &change);
                    }
                }
            }
        }
    }

    fn write_sectors(&mut self, offset: usize, bytes: &[u8], percent: u64, random: &mut Random) {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (sector, later) = rest.split_at((SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len()));
            if random.chance(percent) {
                put(&mut self.durable, sector, at);
            }
            at += sector.len();
            rest = later;
        }
    }
}

/// How a file fares this time.
fn survival(random: &mut Random) -> Survival {
    match random.below(4) {
        0 => Survival::None,
        1 => Survival::All,
        _ => Survival::Sectors(random.below(101)),
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => put(content, bytes, *offset),
        Change::Length(len) => content.resize(*len, 0),
    }
}

fn put(content: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset + bytes.len();
    // Not byte by byte, as an unoptimised build would: files are mostly zeros.
    static ZEROS: [u8; 4096] = [0; 4096];
    while content.len() < end {
        let missing = (end - content.len()).min(ZEROS.len());
        content.extend_from_slice(&ZEROS[..missing]);
    }
    content[offset..end].copy_from_slice(bytes);
}
