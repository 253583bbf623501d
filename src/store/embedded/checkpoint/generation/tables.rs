//! The tables of a generation, and what is written to each (`rows` has the bytes).
//!
//! ```text
//! catalog   key → value
//! live      block → which of its 32,768 records live, and how many references above one each has (`rows`)
//! left      block, queue → which of them the queue has left, though they live for others
//! leases    queue, entry → acquired, failed, until (0 = given up)
//! purges    queue, last, first → nothing
//! chunks    publish → how many chunk records before it its body is in
//! segments  id → first and last record, queues that its records name
//! cold      id of a cold segment → lowest and highest record, queues that its records name
//! holes     first record → what could not be read (JSON)
//! state     "serial", "catalog", "log", "last-catalog", "latest", "clean-stop" → number
//! ```

use std::sync::Arc;

use redb::ReadTransaction;
use redb::ReadableTable;
use redb::TableDefinition;
use redb::TableError;
use redb::WriteTransaction;

use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use crate::store::journal::At;
use crate::store::journal::Delta;
use crate::store::journal::Lease;
use crate::store::journal::Purge;

use super::super::Changes;
use super::super::rows;
use super::Saved;

const CATALOG: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("catalog");
const LIVE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("live");
const LEFT: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("left");
const LEASES: TableDefinition<'_, (u64, u64), (u16, u16, u64)> = TableDefinition::new("leases");
const PURGES: TableDefinition<'_, (u64, u64, u64), ()> = TableDefinition::new("purges");
const CHUNKS: TableDefinition<'_, u64, u32> = TableDefinition::new("chunks");
const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("segments");
const COLD: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("cold");
const HOLES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("holes");
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");

/// What a database says that it has absorbed; all zero if it says nothing.
pub(super) fn saved(transaction: &ReadTransaction) -> Result<Saved, redb::Error> {
    let state = transaction.open_table(STATE)?;
    let get = |key| Ok::<u64, redb::Error>(state.get(key)?.map_or(0, |v| v.value()));
    Ok(Saved {
        serial: get("serial")?,
        catalog: get("catalog")?,
        at: At {
            log: get("log")?,
            last_catalog: get("last-catalog")?,
            latest: CoreTime::from_ms(get("latest")?),
            is_clean_stop: get("clean-stop")? == 1,
        },
    })
}

/// Hands over the catalog.
pub(super) fn catalog(
    transaction: &ReadTransaction,
    visit: &mut dyn FnMut(&str, &[u8]),
) -> Result<(), redb::Error> {
    for row in transaction.open_table(CATALOG)?.iter()? {
        let (key, value) = row?;
        visit(key.value(), value.value());
    }
    Ok(())
}

/// Everything but the catalog; none if a row cannot be what was written.
pub(super) fn load(transaction: &ReadTransaction) -> Result<Option<Delta>, redb::Error> {
    let mut delta = Delta::default();
    for row in transaction.open_table(LIVE)?.iter()? {
        let (block, bytes) = row?;
        let Some(read) = rows::read_block(bytes.value()) else {
            return Ok(None);
        };
        delta
            .live
            .blocks
            .insert(block.value(), Some(Arc::new(read)));
    }
    for row in transaction.open_table(LEFT)?.iter()? {
        let (key, bytes) = row?;
        let (block, queue) = key.value();
        let Some(bits) = rows::read_bits(&mut bytes.value()) else {
            return Ok(None);
        };
        let key = (block, QueueId(queue));
        delta.live.left.insert(key, Some(Arc::new(bits)));
    }
    for row in transaction.open_table(LEASES)?.iter()? {
        let (key, lease) = row?;
        let ((queue, entry), (acquired, failed, until)) = (key.value(), lease.value());
        let lease = Lease {
            acquired,
            failed,
            until: (until > 0).then(|| CoreTime::from_ms(until)),
        };
        delta.leases.insert((QueueId(queue), entry), Some(lease));
    }
    for row in transaction.open_table(PURGES)?.iter()? {
        let (queue, upto, from) = row?.0.value();
        let queue = QueueId(queue);
        delta.purges.push(Purge { queue, upto, from });
    }
    for row in transaction.open_table(CHUNKS)?.iter()? {
        let (number, chunks) = row?;
        delta.chunked.insert(number.value(), chunks.value());
    }
    for row in transaction.open_table(SEGMENTS)?.iter()? {
        let (id, bytes) = row?;
        let Some(segment) = rows::read_segment(bytes.value()) else {
            return Ok(None);
        };
        delta.segments.insert(id.value(), Some(segment));
    }
    let cold = match transaction.open_table(COLD) {
        // Earlier versions did not write it.
        Err(TableError::TableDoesNotExist(_)) => None,
        opened => Some(opened?),
    };
    if let Some(cold) = cold {
        for row in cold.iter()? {
            let (id, bytes) = row?;
            let Some(segment) = rows::read_segment(bytes.value()) else {
                return Ok(None);
            };
            delta.cold.insert(id.value(), Some(segment));
        }
    }
    for row in transaction.open_table(HOLES)?.iter()? {
        let Some(hole) = rows::read_hole(row?.1.value()) else {
            return Ok(None);
        };
        delta.holes.push(hole);
    }
    Ok(Some(delta))
}

/// Writes what changed.
pub(super) fn write(
    transaction: &WriteTransaction,
    saved: &Saved,
    changes: &Changes,
    delta: &Delta,
) -> Result<(), redb::Error> {
    write_catalog(transaction, changes)?;
    write_delta(transaction, delta)?;
    let mut state = transaction.open_table(STATE)?;
    let at = &saved.at;
    state.insert("serial", saved.serial)?;
    state.insert("catalog", saved.catalog)?;
    state.insert("log", at.log)?;
    state.insert("last-catalog", at.last_catalog)?;
    state.insert("latest", at.latest.as_ms())?;
    state.insert("clean-stop", u64::from(at.is_clean_stop))?;
    Ok(())
}

fn write_catalog(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(CATALOG)?;
    for (key, value) in changes {
        match value {
            Some(value) => table.insert(key.as_str(), value.as_slice())?,
            None => table.remove(key.as_str())?,
        };
    }
    Ok(())
}

fn write_delta(transaction: &WriteTransaction, delta: &Delta) -> Result<(), redb::Error> {
    let mut live = transaction.open_table(LIVE)?;
    for (block, now) in &delta.live.blocks {
        match now {
            Some(now) => live.insert(block, rows::block(now).as_slice())?,
            None => live.remove(block)?,
        };
    }
    let mut left = transaction.open_table(LEFT)?;
    for ((block, queue), now) in &delta.live.left {
        match now {
            Some(now) => left.insert((*block, queue.0), rows::bits(now).as_slice())?,
            None => left.remove((*block, queue.0))?,
        };
    }
    let mut leases = transaction.open_table(LEASES)?;
    for ((queue, entry), now) in &delta.leases {
        match now {
            Some(now) => {
                let until = now.until.map_or(0, CoreTime::as_ms);
                leases.insert((queue.0, *entry), (now.acquired, now.failed, until))?
            }
            None => leases.remove((queue.0, *entry))?,
        };
    }
    for (table, rows) in [(SEGMENTS, &delta.segments), (COLD, &delta.cold)] {
        let mut segments = transaction.open_table(table)?;
        for (id, now) in rows {
            match now {
                Some(now) => segments.insert(id, rows::segment(now).as_slice())?,
                None => segments.remove(id)?,
            };
        }
    }
    // These are few, and told as a whole.
    let mut purges = transaction.open_table(PURGES)?;
    purges.retain(|_, ()| false)?;
    for purge in &delta.purges {
        purges.insert((purge.queue.0, purge.upto, purge.from), ())?;
    }
    let mut chunks = transaction.open_table(CHUNKS)?;
    chunks.retain(|_, _| false)?;
    for (number, count) in &delta.chunked {
        chunks.insert(number, count)?;
    }
    let mut holes = transaction.open_table(HOLES)?;
    holes.retain(|_, _| false)?;
    for hole in &delta.holes {
        holes.insert(hole.first.number(), rows::hole(hole).as_slice())?;
    }
    Ok(())
}
