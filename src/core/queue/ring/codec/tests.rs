use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::core::model::ids::Shard;
use crate::core::model::overlay::Overlay;

/// An entry of a chunk: none = gone.
#[derive(Clone, Debug)]
struct Row {
    lsn: Option<(u64, bool)>,
    expiry_ms: u64,
    len: u32,
    counters: (bool, u16, u16),
    moved: Option<u64>,
    extra: Option<(u8, Option<u64>)>,
}

fn row() -> impl Strategy<Value = Row> {
    let lsn = prop_oneof![
        6 => Just(Some((1, false))),
        1 => (1..1_000_000u64, any::<bool>()).prop_map(Some),
        1 => Just(None)
    ];
    let expiry = prop_oneof![4 => Just(0), 1 => Just(5_000), 1 => any::<u64>()];
    let len = prop_oneof![4 => Just(100), 1 => any::<u32>()];
    let counters = prop_oneof![4 => Just((false, 1, 0)), 1 => any::<(bool, u16, u16)>()];
    let moved = option::weighted(0.1, 1..1_000_000u64);
    let extra = option::weighted(0.1, (any::<u8>(), option::of(1..u64::MAX)));
    (lsn, expiry, len, counters, moved, extra).prop_map(
        |(lsn, expiry_ms, len, counters, moved, extra)| Row {
            lsn,
            expiry_ms,
            len,
            counters,
            moved,
            extra,
        },
    )
}

type Made = (Vec<Entry>, Cold, Vec<(u16, Extra)>);

fn made(rows: &[Option<Row>]) -> Made {
    let (mut entries, mut cold, mut extras) = (Vec::new(), Cold::default(), Vec::new());
    let mut number = 2_000_000;
    for (offset, row) in (0u16..).zip(rows) {
        let Some(row) = row else {
            entries.push(Entry::gone());
            continue;
        };
        let lsn = row.lsn.and_then(|(step, is_back)| {
            number = if is_back {
                number - step.min(number - 1)
            } else {
                number + step
            };
            Lsn::new(Shard(3), number)
        });
        let mut entry = Entry::cold(lsn, row.expiry_ms);
        (entry.acquired, entry.failed) = (row.counters.1, row.counters.2);
        entry.set_retention(row.counters.0);
        cold.add(offset, row.len);
        if let (Some(moved), true) = (row.moved, lsn.is_some()) {
            cold.moved
                .insert(offset, Lsn::new(Shard(3), moved).unwrap());
            entry.set_moved(true);
        }
        if let Some((hops, received)) = row.extra {
            let overlay = Overlay {
                hops,
                ..Overlay::default()
            };
            entry.set_extra();
            let extra = Extra {
                overlay: Some(Arc::new(overlay)),
                first_received: received.map(CoreTime::from_ms),
            };
            extras.push((offset, extra));
        }
        entries.push(entry);
    }
    cold.blobs.push(Blob {
        id: SpillId(77),
        offsets: vec![0, 3, 1000],
    });
    (entries, cold, extras)
}

fn shown(entries: &[Entry], cold: &Cold, extras: &[(u16, Extra)]) -> String {
    let lens = (0..).zip(entries).map(|(at, _)| cold.body_len(at));
    let lens: Vec<_> = lens.collect();
    let rest = (&cold.moved, &cold.blobs, cold.count);
    format!("{entries:?} {lens:?} {rest:?} {extras:?}")
}

proptest! {
    #[test]
    fn what_was_put_aside_comes_back(rows in vec(option::weighted(0.9, row()), 0..40)) {
        let (entries, cold, extras) = made(&rows);
        let find = |offset| extras.iter().find(|(at, _)| *at == offset).map(|(_, extra)| extra);
        let bytes = encode(&entries, &cold, find);
        let back = decode(&bytes, entries.len()).unwrap();
        prop_assert_eq!(
            shown(&back.entries, &back.cold, &back.extras),
            shown(&entries, &cold, &extras)
        );
    }

    #[test]
    fn any_bytes_get_an_answer(bytes: Vec<u8>) {
        let _ = decode(&bytes, 40);
    }

    #[test]
    fn a_part_of_a_chunk_is_none(rows in vec(option::weighted(0.9, row()), 1..40), cut: prop::sample::Index) {
        let (entries, cold, _) = made(&rows);
        let bytes = encode(&entries, &cold, |_| None);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())], entries.len()).is_err());
    }
}

#[test]
fn an_entry_that_follows_from_the_one_before_takes_one_byte() {
    let mut cold = Cold::default();
    let lsns = (1..=1024).map(|number| Lsn::new(Shard(0), number));
    let entries: Vec<_> = (0..)
        .zip(lsns)
        .map(|(offset, lsn)| {
            cold.add(offset, 100);
            Entry::cold(lsn, 9_000)
        })
        .collect();
    let bytes = encode(&entries, &cold, |_| None);
    assert!(bytes.len() < 1024 + 16, "{}", bytes.len());
}
