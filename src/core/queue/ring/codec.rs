//! A chunk's entries as bytes, while they are put aside. Read by the same process only.
//!
//! An entry that follows from the one before it (the next LSN, the same expiry, length and counters)
//! takes one byte.
//!
//! ```text
//! chunk  count of entries, entries, count of blobs, blobs
//! entry  u8 what differs, then in this order, each if it does:
//!        GAP       int: entries between that are gone
//!        LSN       step from the LSN after the one before
//!        EXPIRY    step from the one before
//!        LENGTH    int
//!        COUNTERS  u8 flags, int acquired, int failed
//!        RARE      u8 which, then MOVED: step of the message's LSN from its own;
//!                  OVERLAY: bytes (JSON); RECEIVED: int milliseconds
//! blob   int id, int count, offsets as steps
//! ```

use std::sync::Arc;

use crate::core::log::read::SpillId;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;
use crate::core::queue::entry::Entry;
use crate::core::queue::entry::EntryState;
use crate::core::queue::entry::Extra;
use crate::core::queue::paging::varint::Garbled;
use crate::core::queue::paging::varint::Input;
use crate::core::queue::paging::varint::put;
use crate::core::queue::paging::varint::put_bytes;
use crate::core::queue::paging::varint::put_step;
use crate::core::queue::ring::cold::Blob;
use crate::core::queue::ring::cold::Cold;

const GAP: u8 = 1;
const TRANSIENT: u8 = 2;
const LSN: u8 = 4;
const EXPIRY: u8 = 8;
const LENGTH: u8 = 16;
const COUNTERS: u8 = 32;
const RARE: u8 = 64;

const MOVED: u8 = 1;
const OVERLAY: u8 = 2;
const RECEIVED: u8 = 4;

/// What an entry is written against: the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    offset: u64,
    lsn: u64,
    expiry_ms: u64,
    len: u32,
    counters: (u8, u16, u16),
}

/// A chunk's entries, read back.
#[derive(Debug, Default)]
pub(in crate::core) struct Unpacked {
    /// By offset, gone ones between them.
    pub(in crate::core) entries: Vec<Entry>,
    pub(in crate::core) cold: Cold,
    /// What few of them have, by offset.
    pub(in crate::core) extras: Vec<(u16, Extra)>,
}

/// Writes the entries that are not gone; all of them are cold and ready.
pub(in crate::core) fn encode<'a>(
    entries: &[Entry],
    cold: &Cold,
    mut extra: impl FnMut(u16) -> Option<&'a Extra>,
) -> Vec<u8> {
    let live = entries.iter().filter(|entry| entry.is_cold()).count();
    let mut out = Vec::with_capacity(16 + 2 * live);
    put(&mut out, live as u64);
    let mut before = Before::default();
    for (offset, entry) in (0u16..).zip(entries) {
        if entry.state == EntryState::Gone {
            continue;
        }
        let extra = if entry.has_extra() {
            extra(offset)
        } else {
            None
        };
        before = encode_entry(&mut out, before, offset, entry, cold, extra);
    }
    put(&mut out, cold.blobs.len() as u64);
    for blob in &cold.blobs {
        encode_blob(&mut out, blob);
    }
    out.shrink_to_fit();
    out
}

fn encode_entry(
    out: &mut Vec<u8>,
    before: Before,
    offset: u16,
    entry: &Entry,
    cold: &Cold,
    extra: Option<&Extra>,
) -> Before {
    let now = Before {
        offset: u64::from(offset) + 1,
        lsn: entry.lsn.map_or(before.lsn, |lsn| lsn.get() + 1),
        expiry_ms: entry.expiry_ms,
        len: cold.body_len(offset),
        counters: (entry.kept_flags(), entry.acquired, entry.failed),
    };
    let rare = Rare::of(offset, entry, cold, extra);
    let differs = |flag: u8, differs: bool| if differs { flag } else { 0 };
    let flags = differs(GAP, now.offset != before.offset + 1)
        | differs(TRANSIENT, entry.lsn.is_none())
        | differs(LSN, entry.lsn.is_some_and(|lsn| lsn.get() != before.lsn))
        | differs(EXPIRY, now.expiry_ms != before.expiry_ms)
        | differs(LENGTH, now.len != before.len)
        | differs(COUNTERS, now.counters != before.counters)
        | differs(RARE, rare.flags != 0);
    out.push(flags);
    if flags & GAP != 0 {
        put(out, now.offset - before.offset - 1);
    }
    if let (true, Some(lsn)) = (flags & LSN != 0, entry.lsn) {
        put_step(out, before.lsn, lsn.get());
    }
    if flags & EXPIRY != 0 {
        put_step(out, before.expiry_ms, now.expiry_ms);
    }
    if flags & LENGTH != 0 {
        put(out, u64::from(now.len));
    }
    if flags & COUNTERS != 0 {
        out.push(now.counters.0);
        put(out, u64::from(now.counters.1));
        put(out, u64::from(now.counters.2));
    }
    rare.encode(out, entry);
    now
}

/// What few entries have.
struct Rare {
    flags: u8,
    moved: Option<Lsn>,
    overlay: Vec<u8>,
    received: Option<CoreTime>,
}

impl Rare {
    fn of(offset: u16, entry: &Entry, cold: &Cold, extra: Option<&Extra>) -> Self {
        let moved = match entry.is_moved() {
            true => cold.moved.get(&offset).copied(),
            false => None,
        };
        let overlay = extra.and_then(|extra| extra.overlay.as_deref());
        let overlay = overlay.map_or_else(Vec::new, crate::core::catalog::json);
        let received = extra.and_then(|extra| extra.first_received);
        let has = |flag: u8, has: bool| if has { flag } else { 0 };
        let flags = has(MOVED, moved.is_some())
            | has(OVERLAY, !overlay.is_empty())
            | has(RECEIVED, received.is_some());
        Self {
            flags,
            moved,
            overlay,
            received,
        }
    }

    fn encode(&self, out: &mut Vec<u8>, entry: &Entry) {
        if self.flags == 0 {
            return;
        }
        out.push(self.flags);
        if let (Some(moved), Some(own)) = (self.moved, entry.lsn) {
            put_step(out, own.get(), moved.get());
        }
        if !self.overlay.is_empty() {
            put_bytes(out, &self.overlay);
        }
        if let Some(received) = self.received {
            put(out, received.as_ms());
        }
    }
}

fn encode_blob(out: &mut Vec<u8>, blob: &Blob) {
    put(out, blob.id.0);
    put(out, blob.offsets.len() as u64);
    let mut before = 0;
    for offset in &blob.offsets {
        let offset = u64::from(*offset);
        put_step(out, before, offset);
        before = offset;
    }
}

/// Reads what [`encode`] wrote of a chunk of `len` entries.
pub(in crate::core) fn decode(bytes: &[u8], len: usize) -> Result<Unpacked, Garbled> {
    let mut input = Input(bytes);
    let mut unpacked = Unpacked::default();
    unpacked.entries.reserve_exact(len);
    let mut before = Before::default();
    let live: usize = input.small()?;
    for _ in 0..live {
        before = decode_entry(&mut input, before, len, &mut unpacked)?;
    }
    unpacked.entries.resize_with(len, Entry::gone);
    let blobs: usize = input.small()?;
    for _ in 0..blobs {
        unpacked.cold.blobs.push(decode_blob(&mut input)?);
    }
    match input.is_empty() {
        true => Ok(unpacked),
        false => Err(Garbled),
    }
}

fn decode_entry(
    input: &mut Input<'_>,
    before: Before,
    len: usize,
    unpacked: &mut Unpacked,
) -> Result<Before, Garbled> {
    let flags = input.byte()?;
    let mut now = Before {
        offset: before.offset.checked_add(1).ok_or(Garbled)?,
        ..before
    };
    if flags & GAP != 0 {
        now.offset = now.offset.checked_add(input.int()?).ok_or(Garbled)?;
    }
    if flags & LSN != 0 {
        now.lsn = input.step(before.lsn)?;
    }
    let mut own = None;
    if flags & TRANSIENT == 0 {
        let lsn = Lsn::from_raw(now.lsn).ok_or(Garbled)?;
        own = Some(lsn);
        now.lsn = lsn.get().wrapping_add(1);
    }
    if flags & EXPIRY != 0 {
        now.expiry_ms = input.step(before.expiry_ms)?;
    }
    if flags & LENGTH != 0 {
        now.len = input.small()?;
    }
    if flags & COUNTERS != 0 {
        now.counters = (input.byte()?, input.small()?, input.small()?);
    }
    let at = usize::try_from(now.offset - 1).map_err(|_| Garbled)?;
    if at >= len {
        return Err(Garbled);
    }
    let offset = u16::try_from(at).map_err(|_| Garbled)?;
    let mut entry = Entry::cold(own, now.expiry_ms);
    entry.set_kept_flags(now.counters.0);
    (entry.acquired, entry.failed) = (now.counters.1, now.counters.2);
    unpacked.cold.add(offset, now.len);
    if flags & RARE != 0 {
        decode_rare(input, offset, &mut entry, unpacked)?;
    }
    unpacked.entries.resize_with(at, Entry::gone);
    unpacked.entries.push(entry);
    Ok(now)
}

fn decode_rare(
    input: &mut Input<'_>,
    offset: u16,
    entry: &mut Entry,
    unpacked: &mut Unpacked,
) -> Result<(), Garbled> {
    let flags = input.byte()?;
    if flags & MOVED != 0 {
        let own = entry.lsn.ok_or(Garbled)?;
        let moved = Lsn::from_raw(input.step(own.get())?).ok_or(Garbled)?;
        unpacked.cold.moved.insert(offset, moved);
        entry.set_moved(true);
    }
    let mut extra = Extra::default();
    if flags & OVERLAY != 0 {
        let overlay = serde_json::from_slice(input.bytes()?).map_err(|_| Garbled)?;
        extra.overlay = Some(Arc::new(overlay));
    }
    if flags & RECEIVED != 0 {
        extra.first_received = Some(CoreTime::from_ms(input.int()?));
    }
    if flags & (OVERLAY | RECEIVED) != 0 {
        entry.set_extra();
        unpacked.extras.push((offset, extra));
    }
    Ok(())
}

fn decode_blob(input: &mut Input<'_>) -> Result<Blob, Garbled> {
    let id = SpillId(input.int()?);
    let count: usize = input.small()?;
    let mut offsets = Vec::new();
    let mut before = 0;
    for _ in 0..count {
        before = input.step(before)?;
        offsets.push(u16::try_from(before).map_err(|_| Garbled)?);
    }
    Ok(Blob { id, offsets })
}

#[cfg(test)]
mod tests;
