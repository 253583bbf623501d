use std::collections::HashMap;

use super::*;
use crate::core::budget::Budget;
use crate::core::model::batch::BatchBuilder;
use crate::core::model::batch::Draft;
use crate::core::model::message::FormatId;
use crate::core::model::time::CoreTime;

const SHAPE: Shape = Shape {
    entries: 16,
    bytes: 1 << 20,
};

fn message() -> Message {
    let mut builder = BatchBuilder::new();
    builder.push(Draft::new(FormatId(0), b"", "", b""));
    let budget = Budget::new(1 << 20);
    let batch = builder.finish(&Default::default(), CoreTime::default(), &budget);
    batch.message(0).unwrap()
}

fn entry(expiry_ms: u64) -> Entry {
    Entry::new(message(), None, expiry_ms)
}

fn next(ring: &mut Ring) -> Option<u64> {
    match ring.peek_new() {
        New::Ready(seq) => Some(seq),
        New::Spilled => panic!("put aside"),
        New::Nothing => None,
    }
}

#[test]
fn one_old_entry_keeps_one_chunk() {
    let mut ring = Ring::new(SHAPE);
    for _ in 0..160 {
        ring.push(entry(0));
    }
    while let Some(seq) = next(&mut ring) {
        ring.advance_past(seq);
        if seq != 7 {
            ring.remove(seq).unwrap();
        }
    }
    assert_eq!((ring.chunks.len(), ring.open.len()), (1, 1));
    assert!(ring.get(7).is_some() && ring.get(8).is_none() && ring.get(50).is_none());
    assert_eq!(ring.push(entry(0)), 161);
    assert_eq!(next(&mut ring), Some(161));
}

#[test]
fn only_what_is_due_expires() {
    let mut ring = Ring::new(SHAPE);
    ring.push(entry(0));
    ring.push(entry(200));
    ring.push(entry(100));
    let now = CoreTime::from_ms(150);
    assert_eq!(ring.earliest_expiry(now), Some(CoreTime::from_ms(100)));
    assert_eq!(ring.expired(now), [3]);
    assert_eq!(ring.earliest_expiry(now), Some(CoreTime::from_ms(200)));
}

/// A place for what is put aside.
#[derive(Default)]
struct Aside(Vec<Vec<u8>>);

impl Aside {
    fn put(&mut self, bytes: Vec<u8>) -> SpillId {
        self.0.push(bytes);
        SpillId(self.0.len() as u64 - 1)
    }
}

#[test]
fn a_chunk_that_was_put_aside_comes_back_cold_and_in_its_order() {
    let mut ring = Ring::new(SHAPE);
    let mut aside = Aside::default();
    for _ in 0..40 {
        ring.push(entry(0));
    }
    ring.remove(20);
    assert_eq!(ring.packable(17), Some(17), "the last one is not full");
    assert!(ring.pack(17, 0, &mut HashMap::new(), &mut |bytes| aside.put(bytes)));
    assert_eq!(ring.packable(17), None);
    let expected = (1..17).collect::<Vec<_>>();
    let mut seen = Vec::new();
    while let New::Ready(seq) = ring.peek_new() {
        ring.advance_past(seq);
        ring.remove(seq);
        seen.push(seq);
    }
    assert_eq!((seen, ring.peek_new()), (expected, New::Spilled));
    let piece = ring.piece(ring.cursor(), 100, 1 << 20);
    let (base, id) = piece.spilled.unwrap();
    assert!(ring.is_spilled(base, id));
    let index = aside.0.get(usize::try_from(id.0).unwrap()).unwrap().clone();
    assert!(ring.unpack(base, &index[1..]).is_err());
    assert!(ring.unpack(base, &index).unwrap().is_empty());
    assert_eq!(next(&mut ring), Some(17));
    assert!(ring.get(17).unwrap().is_cold() && ring.get(20).is_none());
    let piece = ring.piece(17, 100, 1 << 20);
    assert_eq!((piece.cold.len(), piece.end), (15, 41));
    assert_eq!(ring.take_unused(), [id]);
}

#[test]
fn a_ring_knows_whether_all_of_it_is_in_memory() {
    let mut ring = Ring::new(SHAPE);
    let mut aside = Aside::default();
    for _ in 0..16 {
        ring.push(entry(0));
    }
    assert!(!ring.is_paged());
    ring.chill(1, &mut |bytes| aside.put(bytes));
    assert!(ring.is_paged());
    let piece = ring.piece(1, 100, 1 << 20);
    for (seq, source) in &piece.cold {
        assert!(ring.warm(*seq, *source, message()));
        assert!(!ring.warm(*seq, *source, message()), "it has one");
    }
    assert!(!ring.is_paged());
    assert_eq!(ring.take_unused().len(), 1);
}
