//! A queue over a store that answers when a test says so, and what a test says.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::core::budget::Budget;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::log::read::ReadError;
use crate::core::model::batch::BatchBuilder;
use crate::core::model::batch::Draft;
use crate::core::model::batch::DraftBody;
use crate::core::model::ids::Shard;
use crate::core::model::message::FormatId;
use crate::core::model::message::Message;
use crate::core::queue::consumers::ConsumerSlot;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Delivery;
use crate::core::queue::entry::Extra;
use crate::core::queue::paging::loaded::Read;
use crate::core::queue::paging::sizes::PageSizes;
use crate::core::queue::settings::QueueSettings;
use crate::core::queue::state::QueueState;
use crate::core::queue::take::Lease;
use crate::core::queue::take::Terms;
use crate::core::queue::take::Took;

const NOW: CoreTime = CoreTime::from_ms(1_000);

/// A queue of which everything but the first chunk was put aside.
struct Deep {
    state: QueueState,
    inbox: Arc<Inbox>,
    slot: ConsumerSlot,
    aside: Vec<Vec<u8>>,
}

fn message(number: u64) -> Message {
    let mut builder = BatchBuilder::new();
    let text = number.to_string();
    let mut draft = Draft::new(FormatId(0), b"", "", b"");
    draft.body = DraftBody::Copied(text.as_bytes());
    builder.push(draft);
    let budget = Budget::new(1 << 20);
    let message = builder
        .finish(&Arc::default(), NOW, &budget)
        .message(0)
        .unwrap();
    message.set_lsn(lsn(number));
    message
}

fn lsn(number: u64) -> Lsn {
    Lsn::new(Shard(0), number).unwrap()
}

impl Deep {
    fn new(entries: u64) -> Self {
        let sizes = PageSizes {
            chunk_entries: 4,
            window_entries: 4,
            piece_entries: 4,
            ..PageSizes::default()
        };
        let settings = Arc::new(QueueSettings::new(true));
        let mut state = QueueState::new(settings, Arc::new(sizes));
        let inbox = Inbox::new();
        let slot = state.consumers.add(&inbox, 1, true);
        for number in 1..=entries {
            let entry = state.entry(message(number), Some(lsn(number)), None);
            state.push(entry, Extra::default(), None, NOW);
        }
        let mut deep = Self {
            state,
            inbox,
            slot,
            aside: Vec::new(),
        };
        let aside = &mut deep.aside;
        let mut put = |bytes| {
            aside.push(bytes);
            SpillId(aside.len() as u64 - 1)
        };
        while deep.state.pack_one(&mut put) {}
        deep
    }

    fn take(&mut self) -> (Took, Vec<String>, Vec<Load>) {
        let terms = Terms {
            lease: Lease::Settled,
            entries: 100,
            bytes: usize::MAX,
            wait: true,
        };
        let (mut out, mut effects) = (Vec::new(), Effects::default());
        let took = self
            .state
            .take(Some(self.slot), terms, NOW, &mut out, &mut effects);
        let loads = self.state.wanted(NOW, &mut effects).into_vec();
        let text = |delivery: &Delivery| {
            String::from_utf8(delivery.message.body_bytes().to_vec()).unwrap()
        };
        effects.wake();
        (took, out.iter().map(text).collect(), loads)
    }

    /// Answers a load as a store does that has everything but what `fails` says.
    fn answer(&mut self, load: Load, fails: impl Fn(Option<Lsn>) -> Option<ReadError>) -> Effects {
        let mut effects = Effects::default();
        match load.what {
            What::Messages(wanted) => {
                let mut read = Read::default();
                for (lsn, _) in &wanted {
                    match fails(Some(*lsn)) {
                        None => read.messages.push((*lsn, message(lsn.number()))),
                        Some(error) => read.unread.push((*lsn, error)),
                    }
                }
                self.state
                    .messages_loaded(load.purpose, &wanted, read, &mut effects);
            }
            What::Chunk { base, id } => {
                let bytes = self.aside[usize::try_from(id.0).unwrap()].clone();
                let bytes = fails(None).map_or(Ok(Bytes::from(bytes)), Err);
                self.state
                    .chunk_loaded(load.purpose, (base, id), bytes, &mut effects);
            }
            What::Blob { .. } => panic!("the log has all of them"),
        }
        if let Some(why) = self.state.pages.fault.take() {
            effects.wakes.extend(self.state.quarantine(why));
        }
        effects.wake();
        effects
    }

    fn is_woken(&self) -> bool {
        matches!(
            self.inbox.try_next(),
            Some(Event::Ready(1) | Event::Cancelled(1))
        )
    }

    /// Takes everything, one answer at a time; fails if the consumer is told to wait and is not woken.
    fn drain(&mut self, fails: impl Fn(Option<Lsn>) -> Option<ReadError>) -> Vec<String> {
        let mut seen = Vec::new();
        let mut open = Vec::new();
        loop {
            let (took, some, loads) = self.take();
            seen.extend(some);
            open.extend(loads);
            match took {
                Took::Nothing | Took::Gone => return seen,
                Took::Entries { .. } => continue,
                Took::Loading => {}
            }
            while !self.is_woken() {
                assert!(!open.is_empty(), "it waits for nothing");
                self.answer(open.remove(0), &fails);
            }
        }
    }
}

#[test]
fn what_was_put_aside_comes_back_in_order() {
    let mut deep = Deep::new(50);
    assert!(deep.aside.len() > 8);
    let expected: Vec<_> = (1..=50u64).map(|n| n.to_string()).collect();
    assert_eq!(deep.drain(|_| None), expected);
    assert_eq!((deep.state.ready, deep.state.ready_bytes), (0, 0));
    assert!(!deep.state.ring.is_paged());
}

#[test]
fn a_damaged_message_stays_and_its_queue_is_quarantined() {
    for error in [ReadError::Damaged, ReadError::NotThere] {
        let mut deep = Deep::new(20);
        let seen = deep.drain(|lsn| lsn.filter(|lsn| lsn.number() == 15).map(|_| error));
        let expected: Vec<_> = (1..=20u64).map(|n| n.to_string()).collect();
        assert_eq!(seen, expected[..seen.len()]);
        assert!((4..15).contains(&seen.len()), "{}", seen.len());
        let why = deep
            .state
            .quarantined()
            .expect("nobody can know what is left");
        assert!(why.contains("record 15: "), "{why}");
        assert_eq!(
            deep.state.ready,
            20 - seen.len() as u64,
            "nothing is dropped"
        );
        assert!(deep.take().2.is_empty(), "nothing is read for nobody");
    }
}

#[test]
fn an_index_that_cannot_be_read_stays_and_nobody_hangs() {
    let mut deep = Deep::new(20);
    let seen = deep.drain(|lsn| lsn.is_none().then_some(ReadError::Damaged));
    assert!(deep.state.quarantined().is_some());
    assert!(!seen.is_empty() && seen.len() < 20);
    assert_eq!(deep.state.ready, 20 - seen.len() as u64);
}

#[test]
fn a_refused_read_is_tried_again_and_a_closed_store_is_not_blamed() {
    let mut deep = Deep::new(20);
    let (mut open, mut took) = (Vec::new(), Took::Nothing);
    while took != Took::Loading {
        let (now, _, loads) = deep.take();
        took = now;
        open.extend(loads);
    }
    let effects = deep.answer(open.remove(0), |_| Some(ReadError::Io));
    assert!(effects.due.is_some() && !deep.is_woken(), "not at once");
    let mut effects = Effects::default();
    deep.state.on_timer(NOW, &mut effects);
    assert!(deep.state.wanted(NOW, &mut effects).is_empty());
    assert!(effects.wakes.is_empty());
    let later = deep.state.next_due().unwrap();
    assert!(later > NOW);
    deep.state.on_timer(later, &mut effects);
    effects.wake();
    assert!(deep.is_woken(), "now it comes and asks again");
    let before = deep.state.ready;
    let (took, _, loads) = deep.take();
    assert_eq!((took, loads.is_empty()), (Took::Loading, false));
    for load in loads {
        deep.answer(load, |_| Some(ReadError::Closed));
    }
    assert_eq!(deep.state.ready, before);
    assert!(deep.state.pages.fault.is_none() && deep.state.is_open());
}

#[test]
fn a_load_of_a_queue_that_was_purged_or_deleted_meanwhile_harms_nothing() {
    use crate::core::model::ids::QueueId;
    use crate::core::queue::clear::Purge;
    for is_deleted in [false, true] {
        let mut deep = Deep::new(40);
        let mut open = Vec::new();
        while deep.take().0 != Took::Loading {}
        deep.state.pages.was_taken = true;
        open.extend(deep.state.wanted(NOW, &mut Effects::default()));
        let mut effects = Effects::default();
        if is_deleted {
            deep.state.delete(QueueId(1));
        } else {
            deep.state.purge(Purge::Ready, &mut effects);
        }
        for load in open {
            deep.answer(load, |_| None);
        }
        assert_eq!((deep.state.ready, deep.state.ready_bytes), (0, 0));
        if !is_deleted {
            let entry = deep.state.entry(message(99), Some(lsn(99)), None);
            deep.state.push(entry, Extra::default(), None, NOW);
            assert_eq!(deep.drain(|_| None), ["99"]);
        }
    }
}

#[test]
fn who_waits_for_a_load_alone_is_told_when_nothing_is_left() {
    let mut deep = Deep::new(8);
    let inbox = Inbox::new();
    let get = deep.state.consumers.add(&inbox, 2, false);
    while deep.take().0 != Took::Loading {}
    let terms = Terms {
        lease: Lease::Link,
        entries: 1,
        bytes: 1,
        wait: true,
    };
    let (mut out, mut effects) = (Vec::new(), Effects::default());
    let told = deep
        .state
        .take(Some(get), terms, NOW, &mut out, &mut effects);
    assert_eq!(told, Took::Loading);
    deep.state
        .purge(crate::core::queue::clear::Purge::Ready, &mut effects);
    deep.state.wanted(NOW, &mut effects);
    effects.wake();
    assert_eq!(inbox.try_next(), Some(Event::Ready(2)));
    let nothing = deep
        .state
        .take(Some(get), terms, NOW, &mut out, &mut effects);
    assert_eq!(nothing, Took::Nothing);
}
