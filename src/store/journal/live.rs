//! Which records live, and how many references each has, at a bit or two a record.
//!
//! A record with one reference is a bit; one with n has n − 1 in bit planes of the same kind, so a fan-out to two
//! queues costs one bit more and one to a thousand about ten. A record that some of its queues have left, and others
//! have not, has a bit in `left` for each queue that has. Everything stands in blocks of 32,768 numbers that are
//! shared with whoever writes a checkpoint, and are copied when they change meanwhile.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::core::model::ids::QueueId;

/// Bits of a record's number that say where in its block it is.
const BLOCK_BITS: u32 = 15;
/// Is in every block that this start made, beside its records: a bitmap gives its memory back when it gets empty, and
/// where everything is settled soon after it was published, the newest block gets empty all the time.
const KEEPS_MEMORY: u32 = (1 << 16) - 1;

/// Records of a block.
pub(crate) type Bits = RoaringBitmap;

/// Block and queue.
pub(crate) type LeftKey = (u64, QueueId);

/// Whether each of 32,768 consecutive records lives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    /// Those with a reference.
    pub(crate) live: Bits,
    /// Plane i has bit i of a record's number of references above one. The last plane is not empty.
    pub(crate) more: Vec<Bits>,
}

/// What became of a reference that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// There was none: the record is gone, or the queue had left it.
    Void,
    /// Others are left.
    Kept,
    /// It was the last one.
    Last,
}

/// The records that live.
#[derive(Debug, Default)]
pub(crate) struct LiveSet {
    blocks: BTreeMap<u64, Arc<Block>>,
    left: BTreeMap<LeftKey, Arc<Bits>>,
    /// Sum of all references.
    references: u64,
    /// Blocks that changed since [`LiveSet::take_changes`].
    changed: BTreeSet<u64>,
    changed_left: BTreeSet<LeftKey>,
    /// The block that changed last: mostly the next change is in it as well.
    last_changed: Option<u64>,
}

/// What changed in a set: each block as it is now, none if it is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveChanges {
    /// By block.
    pub(crate) blocks: BTreeMap<u64, Option<Arc<Block>>>,
    /// By block and queue.
    pub(crate) left: BTreeMap<LeftKey, Option<Arc<Bits>>>,
}

impl Block {
    fn new() -> Self {
        Self {
            live: Bits::from_iter([KEEPS_MEMORY]),
            more: Vec::new(),
        }
    }

    /// Those with a reference, and nothing else.
    pub(crate) fn members(&self) -> Bits {
        let mut members = self.live.clone();
        members.remove(KEEPS_MEMORY);
        members
    }

    fn len(&self) -> u64 {
        self.live.len() - u64::from(self.live.contains(KEEPS_MEMORY))
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// References to a record that lives.
    fn count(&self, at: u32) -> u64 {
        let planes = self.more.iter().zip(0..);
        let above: u64 = planes
            .filter(|(plane, _)| plane.contains(at))
            .map(|(_, bit)| 1_u64 << bit)
            .sum();
        1 + above
    }

    /// Gives a record that has none so many references.
    fn insert(&mut self, at: u32, references: u64) {
        self.live.insert(at);
        self.add(at, references.saturating_sub(1));
    }

    /// Adds to the references above one.
    fn add(&mut self, at: u32, mut by: u64) {
        let mut plane = 0;
        let mut carry = false;
        while by > 0 || carry {
            if self.more.len() <= plane {
                self.more.push(Bits::new());
            }
            let Some(bits) = self.more.get_mut(plane) else {
                return;
            };
            let had = bits.contains(at);
            let adds = by & 1 == 1;
            let sum = u8::from(had) + u8::from(adds) + u8::from(carry);
            if sum & 1 == 1 {
                bits.insert(at);
            } else {
                bits.remove(at);
            }
            carry = sum > 1;
            by >>= 1;
            plane += 1;
        }
        self.trim();
    }

    /// Takes one from the references above one; false if there is only the one.
    fn take_one(&mut self, at: u32) -> bool {
        let Some(lowest) = self.more.iter().position(|plane| plane.contains(at)) else {
            return false;
        };
        for (n, plane) in self.more.iter_mut().enumerate().take(lowest + 1) {
            if n == lowest {
                plane.remove(at);
            } else {
                plane.insert(at);
            }
        }
        self.trim();
        true
    }

    fn remove(&mut self, at: u32) {
        self.live.remove(at);
        for plane in &mut self.more {
            plane.remove(at);
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.more.pop_if(|plane| plane.is_empty()).is_some() {}
    }
}

impl LiveSet {
    /// Sum of all references.
    pub(crate) fn references(&self) -> u64 {
        self.references
    }

    /// Whether a record has a reference.
    pub(crate) fn is_live(&self, number: u64) -> bool {
        let block = self.blocks.get(&block_of(number));
        block.is_some_and(|block| block.live.contains(place_of(number)))
    }

    /// References to a record.
    pub(crate) fn count(&self, number: u64) -> u64 {
        match self.blocks.get(&block_of(number)) {
            Some(block) if block.live.contains(place_of(number)) => block.count(place_of(number)),
            _ => 0,
        }
    }

    /// Records of a range that live, ascending.
    pub(crate) fn iter(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        let (first, last) = (*range.start(), *range.end());
        let blocks = self.blocks.range(block_of(first)..=block_of(last));
        blocks.flat_map(move |(id, block)| {
            let base = id << BLOCK_BITS;
            block
                .live
                .range(within(*id, first, last))
                .map(move |at| base + u64::from(at))
        })
    }

    /// Number of records of a range that live.
    pub(crate) fn count_in(&self, range: RangeInclusive<u64>) -> u64 {
        let (first, last) = (*range.start(), *range.end());
        if first > last {
            return 0;
        }
        let blocks = self.blocks.range(block_of(first)..=block_of(last));
        blocks
            .map(|(id, block)| block.live.range_cardinality(within(*id, first, last)))
            .sum()
    }

    /// Gives consecutive records one reference each.
    pub(crate) fn insert_run(&mut self, first: u64, last: u64) {
        for id in block_of(first)..=block_of(last) {
            let added = self.block(id).live.insert_range(within(id, first, last));
            self.references += added;
        }
    }

    /// Gives a record that has none so many references.
    pub(crate) fn insert(&mut self, number: u64, references: u64) {
        if references > 0 {
            self.block(block_of(number))
                .insert(place_of(number), references);
            self.references += references;
        }
    }

    /// Adds references to a record that lives; false if it does not.
    pub(crate) fn retain(&mut self, number: u64, references: u64) -> bool {
        if !self.is_live(number) {
            return false;
        }
        if references > 0 {
            self.block(block_of(number))
                .add(place_of(number), references);
            self.references += references;
        }
        true
    }

    /// Takes a reference from a record: that of a queue's entry, or one of another record.
    pub(crate) fn release(&mut self, number: u64, queue: Option<QueueId>) -> Released {
        if !self.is_live(number) || queue.is_some_and(|queue| self.has_left(number, queue)) {
            return Released::Void;
        }
        let at = place_of(number);
        let id = block_of(number);
        let block = self.block(id);
        let is_kept = block.take_one(at);
        if !is_kept {
            block.live.remove(at);
        }
        let is_empty = block.is_empty();
        self.references -= 1;
        if is_kept {
            if let Some(queue) = queue {
                self.leave(number, queue);
            }
            return Released::Kept;
        }
        if is_empty {
            self.drop_block(id);
        }
        Released::Last
    }

    /// Ends every reference to a record, and says how many there were.
    pub(crate) fn clear(&mut self, number: u64) -> u64 {
        let count = self.count(number);
        if count > 0 {
            let id = block_of(number);
            let block = self.block(id);
            block.remove(place_of(number));
            if block.is_empty() {
                self.drop_block(id);
            }
            self.references -= count;
        }
        count
    }

    /// Whether a queue has left a record that still lives for others.
    pub(crate) fn has_left(&self, number: u64, queue: QueueId) -> bool {
        let left = match self.left.is_empty() {
            true => None,
            false => self.left.get(&(block_of(number), queue)),
        };
        left.is_some_and(|left| left.contains(place_of(number)))
    }

    /// Whether any queue has left a record that still lives for others.
    pub(crate) fn has_been_left(&self, number: u64) -> bool {
        let id = block_of(number);
        let left = self.left.range((id, QueueId(0))..=(id, QueueId(u64::MAX)));
        left.into_iter()
            .any(|(_, left)| left.contains(place_of(number)))
    }

    /// Notes that a queue has left a record that still lives for others.
    pub(crate) fn leave(&mut self, number: u64, queue: QueueId) {
        let key = (block_of(number), queue);
        let left = self.left.entry(key).or_default();
        Arc::make_mut(left).insert(place_of(number));
        self.changed_left.insert(key);
    }

    /// Drops what queues have left of records below `pending` that live for nobody any more.
    pub(crate) fn cut(&mut self, pending: u64) {
        let blocks = if self.left.is_empty() {
            BTreeSet::new()
        } else {
            self.changed.clone()
        };
        for id in blocks {
            let keys = (id, QueueId(0))..=(id, QueueId(u64::MAX));
            let mut keys = self.left.range(keys).map(|(key, _)| *key).peekable();
            if keys.peek().is_none() {
                continue;
            }
            let keys: Vec<LeftKey> = keys.collect();
            let needed = self.needed(id, pending);
            for key in keys {
                self.keep_left(key, &needed);
            }
        }
    }

    /// Records of a block that live, or may because they are pending.
    fn needed(&self, id: u64, pending: u64) -> Bits {
        let block = self.blocks.get(&id);
        let mut needed = block.map(|block| block.live.clone()).unwrap_or_default();
        let last = (id << BLOCK_BITS) | place_mask();
        if last >= pending {
            needed.insert_range(within(id, pending.max(id << BLOCK_BITS), last));
        }
        needed
    }

    fn keep_left(&mut self, key: LeftKey, needed: &Bits) {
        let Some(left) = self.left.get_mut(&key) else {
            return;
        };
        if left.is_subset(needed) {
            return;
        }
        let left = Arc::make_mut(left);
        *left &= needed;
        if left.is_empty() {
            self.left.remove(&key);
        }
        self.changed_left.insert(key);
    }

    /// What changed since the last call.
    pub(crate) fn take_changes(&mut self) -> LiveChanges {
        self.last_changed = None;
        let blocks = std::mem::take(&mut self.changed).into_iter();
        let left = std::mem::take(&mut self.changed_left).into_iter();
        LiveChanges {
            blocks: blocks.map(|id| (id, self.whole(id))).collect(),
            left: left
                .map(|key| (key, self.left.get(&key).map(Arc::clone)))
                .collect(),
        }
    }

    /// The block of a record has to be told again.
    pub(crate) fn touch(&mut self, number: u64) {
        let id = block_of(number);
        if self.last_changed != Some(id) {
            self.changed.insert(id);
            self.last_changed = Some(id);
        }
    }

    fn whole(&self, id: u64) -> Option<Arc<Block>> {
        let block = self.blocks.get(&id).filter(|block| !block.is_empty());
        block.map(Arc::clone)
    }

    /// Whether something changed since [`Self::take_changes`].
    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty() || !self.changed_left.is_empty()
    }

    /// Takes over what a checkpoint holds; not a change.
    pub(crate) fn load(&mut self, saved: LiveChanges) {
        for (id, block) in saved.blocks {
            if let Some(block) = block.filter(|block| !block.is_empty()) {
                let above = block
                    .more
                    .iter()
                    .zip(0..)
                    .map(|(plane, bit)| plane.len() << bit);
                self.references += block.len() + above.sum::<u64>();
                self.blocks.insert(id, block);
            }
        }
        for (key, left) in saved.left {
            if let Some(left) = left {
                self.left.insert(key, left);
            }
        }
    }

    /// Forgets a block in which nothing lives, unless it is the newest, to which more comes.
    fn drop_block(&mut self, id: u64) {
        if self.blocks.last_key_value().map(|(id, _)| *id) != Some(id) {
            self.blocks.remove(&id);
        }
    }

    /// Another block will be the newest.
    fn drop_empty_newest(&mut self) {
        let newest = self.blocks.last_key_value();
        if let Some(id) = newest
            .filter(|(_, block)| block.is_empty())
            .map(|(id, _)| *id)
        {
            self.blocks.remove(&id);
        }
    }

    /// A block that is going to change.
    fn block(&mut self, id: u64) -> &mut Block {
        self.touch(id << BLOCK_BITS);
        if !self.blocks.contains_key(&id) {
            self.drop_empty_newest();
        }
        let block = self.blocks.entry(id);
        Arc::make_mut(block.or_insert_with(|| Arc::new(Block::new())))
    }
}

impl LiveChanges {
    /// Adds what changed later.
    pub(crate) fn merge(&mut self, later: Self) {
        self.blocks.extend(later.blocks);
        self.left.extend(later.left);
    }

    /// Makes a record live in these changes alone: one that the set does not have yet. `block` is the set's.
    pub(crate) fn overlay(&mut self, set: &LiveSet, number: u64, references: u64) {
        let id = block_of(number);
        let block = self
            .blocks
            .entry(id)
            .or_insert_with(|| set.blocks.get(&id).map(Arc::clone));
        let block = block.get_or_insert_with(|| Arc::new(Block::new()));
        Arc::make_mut(block).insert(place_of(number), references);
    }
}

fn block_of(number: u64) -> u64 {
    number >> BLOCK_BITS
}

fn place_mask() -> u64 {
    (1 << BLOCK_BITS) - 1
}

fn place_of(number: u64) -> u32 {
    u32::try_from(number & place_mask()).unwrap_or(0)
}

/// The part of a range that is in a block.
fn within(block: u64, first: u64, last: u64) -> RangeInclusive<u32> {
    let from = if block_of(first) == block {
        place_of(first)
    } else {
        0
    };
    let upto = if block_of(last) == block {
        place_of(last)
    } else {
        place_of(u64::MAX)
    };
    from..=upto
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a set should hold.
    #[derive(Default)]
    struct Model {
        counts: BTreeMap<u64, u64>,
        left: BTreeSet<(u64, u64)>,
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![1..40_u64, 32_750..32_790_u64, 200_000..200_003_u64]
    }

    fn acts() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
        vec((0..6_u8, number(), 1..9_u64), 1..200)
    }

    fn step(set: &mut LiveSet, model: &mut Model, (act, number, n): (u8, u64, u64)) {
        let count = model.counts.get(&number).copied().unwrap_or(0);
        match act {
            0 if count == 0 => {
                set.insert(number, n);
                model.counts.insert(number, n);
            }
            1 => {
                assert_eq!(set.retain(number, n), count > 0);
                model.counts.entry(number).and_modify(|count| *count += n);
            }
            2 => {
                assert_eq!(set.clear(number), count);
                model.counts.remove(&number);
            }
            3 if (number..number + n).all(|n| !model.counts.contains_key(&n)) => {
                set.insert_run(number, number + n - 1);
                model.counts.extend((number..number + n).map(|n| (n, 1)));
            }
            _ => {
                let queue = (act == 4).then_some(QueueId(n));
                let is_void = count == 0 || act == 4 && model.left.contains(&(number, n));
                let expected = match count {
                    _ if is_void => Released::Void,
                    1 => Released::Last,
                    _ => Released::Kept,
                };
                assert_eq!(set.release(number, queue), expected);
                if expected == Released::Kept && act == 4 {
                    model.left.insert((number, n));
                }
                if !is_void {
                    model.counts.insert(number, count - 1);
                }
            }
        }
        model.counts.retain(|_, count| *count > 0);
        model
            .left
            .retain(|(number, _)| model.counts.contains_key(number));
        // A number is never used twice, so what died has to be forgotten before it is, here.
        set.cut(u64::MAX);
    }

    fn check(set: &LiveSet, model: &Model) {
        let live: Vec<u64> = set.iter(0..=u64::MAX).collect();
        assert_eq!(live, model.counts.keys().copied().collect::<Vec<_>>());
        for (number, count) in &model.counts {
            assert_eq!(set.count(*number), *count, "{number}");
            for queue in 1..9 {
                let has_left = set.has_left(*number, QueueId(queue));
                assert_eq!(has_left, model.left.contains(&(*number, queue)));
            }
        }
        assert_eq!(set.references(), model.counts.values().sum::<u64>());
        let in_range = model.counts.range(20..=32_770).count();
        assert_eq!(set.count_in(20..=32_770), u64::try_from(in_range).unwrap());
    }

    proptest! {
        #[test]
        fn a_set_counts_what_was_given_and_taken(acts in acts()) {
            let (mut set, mut model) = (LiveSet::default(), Model::default());
            for act in acts {
                step(&mut set, &mut model, act);
            }
            check(&set, &model);
        }

        #[test]
        fn changes_of_two_times_make_the_set_again(before in acts(), between in acts(), after in acts()) {
            let (mut set, mut model) = (LiveSet::default(), Model::default());
            for act in before {
                step(&mut set, &mut model, act);
            }
            let mut saved = set.take_changes();
            for act in between {
                step(&mut set, &mut model, act);
            }
            saved.merge(set.take_changes());
            let mut again = LiveSet::default();
            again.load(saved);
            check(&again, &model);
            for act in after {
                step(&mut again, &mut model, act);
            }
            check(&again, &model);
        }
    }

    #[test]
    fn an_overlay_is_in_the_changes_and_not_in_the_set() {
        let mut set = LiveSet::default();
        set.insert(7, 1);
        let mut changes = set.take_changes();
        changes.overlay(&set, 8, 3);
        changes.overlay(&set, 70_000, 1);
        assert_eq!((set.count(7), set.count(8)), (1, 0));
        let mut again = LiveSet::default();
        again.load(changes);
        assert_eq!(
            (again.count(7), again.count(8), again.count(70_000)),
            (1, 3, 1)
        );
    }

    #[test]
    fn what_pending_records_were_left_by_is_not_cut() {
        let mut set = LiveSet::default();
        set.insert(7, 2);
        set.release(7, Some(QueueId(1)));
        set.leave(9, QueueId(1));
        set.release(7, None);
        set.insert(5, 1);
        set.cut(9);
        assert!(!set.has_left(7, QueueId(1)));
        assert!(set.has_left(9, QueueId(1)));
    }
}
