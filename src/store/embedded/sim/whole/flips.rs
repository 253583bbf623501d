//! Bits that flip: what a start tells is what was written, or it says where something is missing.

use std::collections::BTreeMap;

use crate::core::log::read::ReadError;
use crate::core::log::store::Hole;
use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;

use super::life::Life;
use super::model::Heard;
use super::model::Name;
use super::model::SHARD;
use super::model::Told;
use super::readers::Messages;
use super::readers::Place;
use super::world::World;

impl World {
    /// Ends the process and flips bits, then starts it once.
    pub(super) fn flip(&mut self) {
        match self.random.below(3) {
            0 => self.stop(),
            1 => self.end(false),
            _ => self.end(true),
        }
        self.disk.heal();
        self.disk.set_capacity(u64::MAX);
        let suffixes = [".seg", ".seg", ".cold", "0.redb", "1.redb", ".redb", "meta"];
        let suffix = suffixes[self.random.index(suffixes.len())];
        let mut flipped = Vec::new();
        for _ in 0..1 + self.random.below(30) {
            flipped.extend(self.disk.flip_bit(suffix));
        }
        self.say(|| format!("flipped in {flipped:?}"));
        let mut heard = Heard::default();
        match Life::begin(&self.disk, self.now, self.plan.every, &mut heard) {
            Ok((life, scanned)) => {
                self.life = Some(life);
                self.check_flipped(&heard, &scanned);
            }
            // One in the number of the format reads as another format.
            Err(refused @ (StoreError::Damaged { .. } | StoreError::NewerFormat { .. })) => {
                self.say(|| format!("{refused:?}"));
                self.saw("starts refused", 1);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn check_flipped(&mut self, heard: &Heard, scanned: &Scanned) {
        // Not `scanned`, which has the tombstone over a torn frame. The last frame of the log is one if it is bad: it looks
        // like what was being written when the power went.
        let told = heard.scanned.as_ref().and_then(|scanned| scanned.last);
        let last = told.map_or(0, Lsn::number);
        let expected = self.model.expected(last);
        let is_whole = scanned.holes.is_empty();
        if is_whole {
            assert_eq!(heard.catalog, expected.catalog, "the catalog");
        } else {
            self.saw("holes", scanned.holes.len() as u64);
        }
        let wanted = by_name(&expected.entries);
        let told = by_name(&heard.entries);
        assert_eq!(told.len(), heard.entries.len(), "each is told once");
        for (name, told) in told.iter().filter(|(name, _)| heard.has(name.1)) {
            let wanted = wanted.get(name);
            assert!(wanted.is_some() || !is_whole, "{told:?} comes back");
            if let Some(wanted) = wanted.filter(|_| is_whole) {
                assert_eq!(told, wanted);
            }
        }
        for (name, wanted) in &wanted {
            let may_lack = lacks(&scanned.holes, wanted) || self.model.may_be_elided(name.0);
            assert!(
                told.contains_key(name) || may_lack,
                "{wanted:?} is not told"
            );
        }
        self.check_flipped_messages(&told);
    }

    /// What can be read is what was written.
    fn check_flipped_messages(&mut self, told: &BTreeMap<Name, &Told>) {
        let mut lsns: Vec<Lsn> = told.values().map(|told| told.entry.message).collect();
        lsns.sort_unstable();
        lsns.dedup();
        let place = Place::new();
        let now = self.now;
        let life = self.life.as_mut().expect("it runs");
        life.log.read(SHARD, lsns, Messages::reader(&place));
        life.run(&["viaduct-reader"], now);
        let answer = place.take().expect("it is answered");
        self.check_messages(&answer);
        for (lsn, error) in &answer.unread {
            assert!(*error != ReadError::Io, "{lsn}: {error}");
        }
        let (read, damaged) = (answer.messages.len(), answer.unread.len());
        self.saw("messages read though bits flipped", read as u64);
        self.saw("messages that were damaged", damaged as u64);
    }
}

fn by_name(entries: &[Told]) -> BTreeMap<Name, &Told> {
    let name = |told: &Told| (told.entry.entry, told.fields.queue);
    entries.iter().map(|told| (name(told), told)).collect()
}

/// Whether an entry may be missing: it, or its message, was in something that cannot be read.
fn lacks(holes: &[Hole], told: &Told) -> bool {
    let message = told.entry.message.number();
    let mut records = vec![told.entry.entry.number()];
    records.extend(message - u64::from(told.chunks)..=message);
    let hides = |hole: &Hole| {
        let queues = hole.queues.as_ref();
        let concerns = queues.is_none_or(|queues| queues.contains(&told.fields.queue));
        let numbers = hole.first.number()..=hole.last.number();
        concerns && records.iter().any(|number| numbers.contains(number))
    };
    holes.iter().any(hides)
}
