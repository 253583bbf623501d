//! Publishing, taking and settling.

use std::rc::Rc;
use std::sync::Arc;

use viaduct::core::error::CoreError;
use viaduct::core::inbox::Inbox;
use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::batch::DraftBody;
use viaduct::core::model::message::FormatId;
use viaduct::core::model::message::Producer;
use viaduct::core::model::value::Properties;
use viaduct::core::queue::entry::Delivery;
use viaduct::core::queue::settle::LeaseRef;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::core::queue::take::Took;

use crate::operation::How;
use crate::operation::Kind;
use crate::operation::Spec;
use crate::operation::Want;
use crate::reference::Id;
use crate::reference::Message;
use crate::reference::Taken;

use super::Held;
use super::Tap;
use super::World;
use super::seen::Seen;

impl World {
    pub(super) fn publish(&mut self, exchange: &str, key: &str, messages: &[Spec]) {
        let properties = Properties::default();
        let route = self
            .vhost
            .route(exchange, key.as_bytes(), &mut || &properties);
        let Some(ids) = self.reference.route(exchange, key) else {
            assert!(matches!(route, Err(CoreError::ExchangeNotFound { .. })));
            return;
        };
        let route = route.unwrap();
        let found = route
            .queues()
            .iter()
            .map(|queue| self.reference.id_of(queue.name().as_str()));
        assert_eq!(
            found.collect::<Vec<_>>(),
            ids.iter().copied().map(Some).collect::<Vec<_>>()
        );
        let mut builder = BatchBuilder::new();
        let mut expected = Vec::new();
        for spec in messages {
            self.number += 1;
            let mut body = self.number.to_be_bytes().to_vec();
            body.resize(spec.bytes, 0);
            builder.push(Draft {
                body: DraftBody::Copied(&body),
                durable: spec.durable,
                expiration_ms: spec.expiration_ms,
                delay_ms: spec.delay_ms,
                ..Draft::new(FormatId(1), b"head", exchange, key.as_bytes())
            });
            expected.push(Rc::new(Message {
                number: self.number,
                bytes: spec.bytes as u64,
                durable: spec.durable,
                exchange: exchange.to_owned(),
                key: key.to_owned(),
                expiration_ms: spec.expiration_ms,
                delay_ms: spec.delay_ms,
                enqueued_at: self.now,
            }));
        }
        let producer = Arc::new(Producer::default());
        let batch = builder.finish(&producer, self.time(), self.core.budget());
        let published = self
            .core
            .publish(&batch, 0..messages.len(), &route, self.time())
            .unwrap();
        let (logged, refused) = self.reference.publish(&expected, &ids, self.now);
        assert_eq!(published.lsn.is_some(), logged);
        assert_eq!(published.refused.to_vec(), refused);
    }

    pub(super) fn subscribe(&mut self, name: &'static str) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        self.last_consumer += 1;
        let consumer = self.last_consumer;
        // A waiting SQS poll is a consumer that clients do not see.
        let visible = !consumer.is_multiple_of(3);
        let inbox = Inbox::new();
        self.consumers.push(Tap {
            id: consumer,
            queue: id,
            name,
            visible,
            consumer: self
                .core
                .subscribe(&queue, &inbox, consumer as u64, visible)
                .unwrap(),
            inbox,
            woken: false,
        });
        if visible {
            self.expect_consumers(id, name);
        }
    }

    pub(super) fn unsubscribe(&mut self, consumer: usize) {
        if self.consumers.is_empty() {
            return;
        }
        let tap = self.consumers.remove(consumer % self.consumers.len());
        self.core.unsubscribe(tap.consumer);
        self.reference.unsubscribe(tap.queue, tap.id);
        if tap.visible {
            self.expect_consumers(tap.queue, tap.name);
        }
    }

    pub(super) fn terms(&self, want: Want) -> Terms {
        Terms {
            lease: match want.lease {
                Kind::Link => Lease::Link,
                Kind::Deadline { ms } => Lease::Deadline(self.time() + ms),
                Kind::Settled => Lease::Settled,
            },
            entries: want.entries,
            bytes: want.bytes,
            wait: want.wait,
        }
    }

    pub(super) fn take(&mut self, consumer: usize, want: Want) {
        if self.consumers.is_empty() {
            return;
        }
        let terms = self.terms(want);
        let at = consumer % self.consumers.len();
        let tap = &mut self.consumers[at];
        tap.woken = false;
        let (id, queue, name) = (tap.id, tap.queue, tap.name);
        let most = self.reference.most(queue, Some(id), terms);
        let taken = self.reference.take(queue, Some(id), terms, self.now);
        let upto = (taken.len(), most);
        let (took, out) = self.take_all(name, terms, upto, |world, terms, out| {
            let tap = &world.consumers[at];
            // What it was told while it waited for a load, it comes for now.
            while tap.inbox.try_next().is_some() {}
            let now = world.time();
            world.core.take(&tap.consumer, terms, now, out).unwrap()
        });
        self.took(queue, name, terms, took, &out, &taken);
    }

    /// Takes until as many have come as the reference says, whatever had to be read for it, and until what
    /// leaves instead of being taken has left.
    fn take_all(
        &mut self,
        name: &str,
        terms: Terms,
        (expected, most): (usize, usize),
        mut take: impl FnMut(&mut Self, Terms, &mut Vec<Delivery>) -> Took,
    ) -> (Took, Vec<Delivery>) {
        let mut out: Vec<Delivery> = Vec::new();
        let (queue, id) = self.queue(name).unwrap();
        for _ in 0..100 {
            let bytes: usize = out.iter().map(|delivery| delivery.message.body_len()).sum();
            let is_full = out.len() >= most || bytes >= terms.bytes;
            let is_behind = queue.counts().ready > self.reference.holds(id).ready;
            if !out.is_empty() && out.len() >= expected && (is_full || !is_behind) {
                return (Took::Entries { more: true }, out);
            }
            let rest = Terms {
                entries: most - out.len(),
                bytes: terms.bytes - bytes,
                wait: terms.wait && out.is_empty(),
                ..terms
            };
            match take(self, rest, &mut out) {
                Took::Nothing if !out.is_empty() => return (Took::Entries { more: false }, out),
                took @ (Took::Nothing | Took::Gone) => return (took, out),
                Took::Loading | Took::Entries { .. } => {}
            }
            self.store.answer_reads();
        }
        panic!("what is loading never comes");
    }

    /// Takes without a consumer, and says whether something came.
    pub(super) fn take_once(&mut self, name: &'static str, want: Want) -> bool {
        let Some((queue, id)) = self.queue(name) else {
            return false;
        };
        let terms = self.terms(want);
        let most = self.reference.most(id, None, terms);
        let taken = self.reference.take(id, None, terms, self.now);
        let upto = (taken.len(), most);
        let (took, out) = self.take_all(name, terms, upto, |world, terms, out| {
            let now = world.time();
            world.core.take_once(&queue, terms, now, out).unwrap()
        });
        self.took(id, name, terms, took, &out, &taken);
        !out.is_empty()
    }

    pub(super) fn took(
        &mut self,
        queue: Id,
        name: &'static str,
        terms: Terms,
        took: Took,
        out: &[Delivery],
        taken: &[Taken],
    ) {
        let by_core: Vec<_> = out.iter().map(Seen::by_core).collect();
        let by_reference: Vec<_> = taken.iter().map(Seen::by_reference).collect();
        assert_eq!(by_core, by_reference, "taken from {name}");
        assert_eq!(out.len(), taken.len(), "taken from {name}");
        assert_eq!(matches!(took, Took::Entries { .. }), !out.is_empty());
        if terms.lease == Lease::Settled {
            return;
        }
        let leases = out.iter().zip(taken).map(|(delivery, taken)| Held {
            queue,
            name,
            core: LeaseRef {
                seq: delivery.seq,
                attempt: delivery.attempt,
            },
            reference: (taken.seq, taken.attempt),
            lsn: delivery.lsn,
            log: taken.log,
            by_link: terms.lease == Lease::Link,
        });
        self.leases.extend(leases);
    }

    pub(super) fn settle(&mut self, lease: usize, count: usize, how: How) {
        if self.leases.is_empty() {
            return;
        }
        let at = lease % self.leases.len();
        let queue = self.leases[at].queue;
        let here = self
            .leases
            .iter()
            .skip(at)
            .filter(|held| held.queue == queue);
        let held: Vec<Held> = here.take(count).cloned().collect();
        let outcome = match how {
            How::Accept => Outcome::Accept,
            How::Reject => Outcome::Reject,
            How::Release { counted } => Outcome::Release { counted },
            How::Extend { ms } => Outcome::Extend(self.time() + ms),
        };
        self.settle_all(&held, outcome);
        // Some are named again later, when they have ended.
        let ends = !matches!(how, How::Extend { .. });
        if ends && !lease.is_multiple_of(4) {
            self.forget(&held);
        }
    }

    pub(super) fn settle_all(&mut self, held: &[Held], outcome: Outcome) {
        let Some(first) = held.first() else { return };
        let queue = self.vhost.queue(first.name).unwrap();
        let by_core: Vec<_> = held.iter().map(|held| held.core).collect();
        let settled = self
            .core
            .settle(&queue, &by_core, outcome, self.time())
            .unwrap();
        let by_reference: Vec<_> = held.iter().map(|held| held.reference).collect();
        let expected = self
            .reference
            .settle(first.queue, &by_reference, outcome, self.now);
        assert_eq!((settled.settled, settled.lapsed, settled.gone), expected);
    }

    pub(super) fn forget(&mut self, gone: &[Held]) {
        let is_gone = |held: &Held| {
            gone.iter()
                .any(|g| g.queue == held.queue && g.core == held.core)
        };
        self.leases.retain(|held| !is_gone(held));
    }

    pub(super) fn link_lost(&mut self, name: &str) {
        let here = self
            .leases
            .iter()
            .filter(|held| held.by_link && held.name == name);
        let mut held: Vec<Held> = here.cloned().collect();
        held.sort_by_key(|held| held.core.seq);
        let Some((oldest, others)) = held.split_first() else {
            return;
        };
        self.settle_all(
            std::slice::from_ref(oldest),
            Outcome::Release { counted: true },
        );
        self.settle_all(others, Outcome::Release { counted: false });
        self.forget(&held);
    }
}
