//! Dead letters: to wherever the policy says, or dropped.

use std::collections::VecDeque;
use std::rc::Rc;

use viaduct::core::model::overlay::Cause;
use viaduct::core::queue::settings::DeadLetterTarget;
use viaduct::telemetry::DropReason;

use super::Id;
use super::Message;
use super::Overlay;
use super::Reference;
use super::Work;
use super::queue::Doomed;
use super::queue::Queue;

/// After so many moves that no consumer saw, a message is dropped (SEMANTICS §8).
const MAX_HOPS: u8 = 16;

/// A refused dead letter is tried again after so long.
const RETRY_MS: u64 = 1000;

impl Reference {
    /// Moves these, and what they push out of their targets, in the order in which they died.
    pub(super) fn bury(&mut self, id: Id, doomed: Vec<Doomed>, now: u64) {
        self.bury_all(doomed.into_iter().map(|doomed| (id, doomed)).collect(), now);
    }

    pub(super) fn bury_all(&mut self, mut work: Work, now: u64) {
        while let Some((id, doomed)) = work.pop_front() {
            self.bury_one(id, doomed, now, &mut work);
        }
    }

    fn bury_one(&mut self, id: Id, doomed: Doomed, now: u64, work: &mut Work) {
        self.buried += 1;
        let queue = self.queues.get_mut(&id).unwrap();
        let entry = queue.find(doomed.seq).unwrap().clone();
        // Whoever had it in between may have wanted it to go round.
        let hops = if entry.acquired > 0 {
            0
        } else {
            entry.overlay.hops
        };
        let place = match hops {
            MAX_HOPS.. => Err(DropReason::DeadLetterCycle),
            _ => self.resting_place(id, &entry.message, &entry.overlay, doomed.cause, hops),
        };
        let (route, overlay) = match place {
            Ok(place) => place,
            Err(reason) => {
                self.drops.count(reason);
                self.queues.get_mut(&id).unwrap().take_out(doomed.seq);
                return;
            }
        };
        if self.is_refused(&route, &entry.message) {
            let queue = self.queues.get_mut(&id).unwrap();
            queue.strand(doomed);
            // One that is refused every moment must not put off the others.
            if queue.retry.is_none_or(|due| due <= now) {
                queue.retry = Some(now + RETRY_MS);
            }
            let mut pushed_out = Vec::new();
            queue.keep_limits(now, &mut pushed_out, &mut self.drops);
            work.extend(pushed_out.into_iter().map(|doomed| (id, doomed)));
            return;
        }
        self.queues.get_mut(&id).unwrap().take_out(doomed.seq);
        let is_moved = entry.log.is_some();
        self.arrive(&route, &entry.message, &overlay, is_moved, now, work);
    }

    /// A message that a queue refused goes to that queue's dead letters.
    pub(super) fn bury_refused(&mut self, id: Id, message: &Rc<Message>, now: u64) {
        let cause = Cause::MaxLength;
        self.buried += 1;
        if !self.queues[&id].settings.dead_letter.contains_key(&cause) {
            self.drops.count(DropReason::MaxLength);
            return;
        }
        match self.resting_place(id, message, &Overlay::default(), cause, 0) {
            Err(reason) => self.drops.count(reason),
            Ok((route, _)) if self.is_refused(&route, message) => {
                self.drops.count(DropReason::MaxLength);
            }
            Ok((route, overlay)) => {
                let mut work = VecDeque::new();
                self.arrive(&route, message, &overlay, false, now, &mut work);
                self.bury_all(work, now);
            }
        }
    }

    /// Where a dead letter goes, and what it says from then on.
    fn resting_place(
        &self,
        id: Id,
        message: &Message,
        overlay: &Overlay,
        cause: Cause,
        hops: u8,
    ) -> Result<(Vec<Id>, Overlay), DropReason> {
        let queue = &self.queues[&id];
        let (exchange, key) = match &overlay.routed {
            Some((exchange, key)) => (exchange.clone(), key.clone()),
            None => (message.exchange.clone(), message.key.clone()),
        };
        let mut overlay = died(queue, overlay, cause, &exchange);
        overlay.hops = hops + 1;
        let route = match queue.settings.dead_letter.get(&cause) {
            None => None,
            Some(DeadLetterTarget::Queue(name)) => self.id_of(name).map(|id| vec![id]),
            Some(DeadLetterTarget::Exchange {
                exchange,
                routing_key,
            }) => {
                let other = routing_key
                    .as_ref()
                    .map(|key| String::from_utf8(key.clone()).unwrap());
                let key = other.unwrap_or(key);
                let route = self.route(exchange.as_str(), &key);
                overlay.routed = Some((exchange.as_str().to_owned(), key));
                route
            }
        };
        let all = route
            .filter(|route| !route.is_empty())
            .ok_or(DropReason::DeadLetterUnroutable)?;
        let open: Vec<_> = all
            .into_iter()
            .filter(|target| !comes_back(&self.queues[target].name, &overlay))
            .collect();
        if open.is_empty() {
            return Err(DropReason::DeadLetterCycle);
        }
        Ok((open, overlay))
    }

    fn is_refused(&self, route: &[Id], message: &Message) -> bool {
        route
            .iter()
            .any(|id| self.queues[id].refuses((0, 0), message.bytes))
    }

    /// Makes the entries. `is_moved`: the entry that it comes from was in the log, so these are too; else
    /// each target takes it as it takes a publish.
    fn arrive(
        &mut self,
        route: &[Id],
        message: &Rc<Message>,
        overlay: &Overlay,
        is_moved: bool,
        now: u64,
        work: &mut Work,
    ) {
        let mut logged = false;
        for id in route {
            let queue = self.queues.get_mut(id).unwrap();
            let settings = &queue.settings;
            let lasting = is_moved || message.durable || settings.force_durable;
            let durable = settings.durable && lasting;
            logged |= durable;
            let log = durable.then_some(self.log + 1);
            let delay_ms = queue.settings.delay_ms;
            let mut entry = queue.entry(message, overlay.clone(), log, delay_ms, now);
            entry.is_moved = is_moved;
            queue.push(entry, now);
            let mut doomed = Vec::new();
            queue.keep_limits(now, &mut doomed, &mut self.drops);
            work.extend(doomed.into_iter().map(|doomed| (*id, doomed)));
        }
        self.log += u64::from(logged);
    }
}

/// What an entry says after one more death.
fn died(queue: &Queue, overlay: &Overlay, cause: Cause, exchange: &str) -> Overlay {
    let mut overlay = overlay.clone();
    let first = (queue.name.clone(), cause, exchange.to_owned());
    overlay.first.get_or_insert(first);
    let is_this = |death: &(String, Cause, u64)| death.0 == queue.name && death.1 == cause;
    let before = overlay
        .deaths
        .iter()
        .find(|death| is_this(death))
        .map_or(0, |death| death.2);
    overlay.deaths.retain(|death| !is_this(death));
    overlay
        .deaths
        .insert(0, (queue.name.clone(), cause, before + 1));
    overlay
}

/// Whether a queue would see it again, with nobody having rejected it since.
fn comes_back(queue: &str, overlay: &Overlay) -> bool {
    let since = overlay.deaths.iter().position(|death| death.0 == queue);
    since.is_some_and(|at| {
        overlay.deaths[..=at]
            .iter()
            .all(|death| !matches!(death.1, Cause::Rejected | Cause::ReceiveLimit))
    })
}
