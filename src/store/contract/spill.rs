//! What was put aside comes back as it was, until it is dropped or the process ends.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::core::log::read::ReadError;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;

use super::bench::Bench;
use super::bench::PATIENCE;

/// Where an answer arrives.
#[derive(Default)]
struct Answer {
    answer: Mutex<Option<Result<Bytes, ReadError>>>,
    changed: Condvar,
}

struct Gets(Arc<Answer>);

impl SpillReader for Gets {
    fn spilled(self: Box<Self>, bytes: Result<Bytes, ReadError>) {
        let before = self.0.answer.lock().replace(bytes);
        assert!(before.is_none(), "answered once");
        self.0.changed.notify_all();
    }
}

impl Bench {
    fn put(&self, bytes: &[u8]) -> SpillId {
        self.store().spill_put(self.shard, bytes.to_vec())
    }

    fn get(&self, id: SpillId) -> Result<Bytes, ReadError> {
        let answer = Arc::new(Answer::default());
        let reader = Box::new(Gets(Arc::clone(&answer)));
        self.store().spill_get(self.shard, id, reader);
        let mut slot = answer.answer.lock();
        loop {
            if let Some(answer) = slot.take() {
                return answer;
            }
            let waited = answer.changed.wait_for(&mut slot, PATIENCE);
            assert!(!waited.timed_out(), "no answer came");
        }
    }
}

fn blob(number: usize) -> Vec<u8> {
    let len = number * 977 % 9_000;
    number.to_le_bytes().repeat(len / 8 + 1)
}

pub(super) fn what_is_put_aside_comes_back(bench: &mut Bench) {
    let ids: Vec<SpillId> = (0..300).map(|n| bench.put(&blob(n))).collect();
    let empty = bench.put(b"");
    let large = vec![5; 3 << 20];
    let large_id = bench.put(&large);
    // Whether the disk has it or not, and as often as it is asked for.
    for _ in 0..2 {
        for (n, id) in ids.iter().enumerate().rev() {
            assert_eq!(bench.get(*id).expect("there"), blob(n));
        }
        assert_eq!(bench.get(empty).expect("there"), b"".as_slice());
        assert_eq!(bench.get(large_id).expect("there"), large);
    }
    let space = bench.store().space();
    assert!(space.spill_bytes + space.spill_pending_bytes >= 3 << 20);
}

pub(super) fn what_is_dropped_is_not_there(bench: &mut Bench) {
    let ids: Vec<SpillId> = (0..100).map(|n| bench.put(&blob(n))).collect();
    for id in ids.iter().step_by(2) {
        bench.store().spill_drop(bench.shard, *id);
    }
    for (n, id) in ids.iter().enumerate() {
        let expected = if n % 2 == 0 {
            Err(ReadError::NotThere)
        } else {
            Ok(Bytes::from(blob(n)))
        };
        assert_eq!(bench.get(*id), expected);
    }
    let again: Vec<SpillId> = (0..100).map(|n| bench.put(&blob(n + 7))).collect();
    assert!(
        again.iter().all(|id| !ids.contains(id)),
        "never given twice"
    );
    for (n, id) in again.iter().enumerate() {
        assert_eq!(bench.get(*id), Ok(Bytes::from(blob(n + 7))));
    }
}

pub(super) fn nothing_is_left_aside_after_a_restart(bench: &mut Bench) {
    let id = bench.put(&blob(5));
    assert!(bench.get(id).is_ok());
    bench.restart();
    assert_eq!(bench.get(id), Err(ReadError::NotThere));
    let space = bench.store().space();
    assert_eq!((space.spill_bytes, space.spill_pending_bytes), (0, 0));
}
