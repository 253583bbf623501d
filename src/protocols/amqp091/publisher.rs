//! Publishing: everything that one read brought becomes one batch, and one push per run of equal routes.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::auth::Action;
use crate::auth::DEFAULT_EXCHANGE;
use crate::auth::Identity;
use crate::core::Core;
use crate::core::error::CoreError;
use crate::core::log::store::Watermark;
use crate::core::model::batch::BatchBuilder;
use crate::core::model::batch::Draft;
use crate::core::model::batch::MessageBatch;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Producer;
use crate::core::model::time::CoreTime;
use crate::core::publish::Published;
use crate::core::quarantine::Quarantined;
use crate::core::topology::Route;
use crate::core::topology::Vhost;
use crate::protocols::amqp091::channel::Channel;
use crate::protocols::amqp091::channel::ChannelSet;
use crate::protocols::amqp091::codec::Properties;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Link;
use crate::protocols::amqp091::mapping;

/// Runs that a publisher keeps room for.
pub(super) const KEPT_RUNS: usize = 64;

/// How long after a refusal by the log it is tried again, if nothing says so before.
const RETRY_MS: u64 = 100;

/// The last message's exchange and key, and where they lead.
struct Cached {
    exchange: String,
    key: Vec<u8>,
    route: Route,
    /// Whether the next message with this key goes there too.
    is_reusable: bool,
}

/// Consecutive messages of one channel with one route.
struct Run {
    route: Route,
    /// Number of the route's look-up: equal numbers, equal routes.
    serial: u64,
    range: Range<usize>,
    channel: u16,
    /// Confirm tag of the first; the others follow.
    first_tag: Option<u64>,
}

/// What the log had no room for.
struct Stalled {
    batch: MessageBatch,
    runs: VecDeque<Run>,
    retry: CoreTime,
}

/// The publishing half of a connection.
pub(super) struct Publisher {
    producer: Arc<Producer>,
    builder: BatchBuilder,
    runs: VecDeque<Run>,
    cached: Option<Cached>,
    serial: u64,
    stalled: Option<Stalled>,
    /// Channels that got something to confirm.
    confirming: ChannelSet,
    /// Channels without confirms of which something went nowhere, and which queue did not take it.
    withheld: VecDeque<(u16, Quarantined)>,
    /// Of the batch in hand.
    bytes: u64,
    unroutable: u64,
    messages: u64,
}

/// The parts of a publish that lead somewhere.
pub(super) struct Target<'a> {
    pub(super) exchange: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) properties: Properties<'a>,
}

impl Publisher {
    pub(super) fn new(producer: Arc<Producer>) -> Self {
        Self {
            producer,
            builder: BatchBuilder::new(),
            runs: VecDeque::new(),
            cached: None,
            serial: 0,
            stalled: None,
            confirming: ChannelSet::default(),
            withheld: VecDeque::new(),
            bytes: 0,
            unroutable: 0,
            messages: 0,
        }
    }

    /// Whether the log must make room before anything else is done.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// When to try again.
    pub(super) fn deadline(&self) -> Option<CoreTime> {
        self.stalled.as_ref().map(|stalled| stalled.retry)
    }

    /// Says how many bytes of input the next messages come from.
    pub(super) fn expect_bytes(&mut self, input: usize) {
        self.builder.expect_bytes(input);
    }

    /// Whether nothing more fits into the batch in hand.
    pub(super) fn is_full(&self) -> bool {
        self.builder.is_full()
    }

    /// Finds out where a message goes: nowhere is an answer, too.
    ///
    /// # Errors
    /// 403 and 404.
    pub(super) fn route(
        &mut self,
        link: &Link,
        vhost: &Vhost,
        user: &Identity,
        target: &Target<'_>,
    ) -> Result<bool, Refusal> {
        let same_exchange = match &self.cached {
            Some(cached) if vhost.is_current(&cached.route) => {
                let same = is_same(cached.exchange.as_bytes(), target.exchange);
                if same && cached.is_reusable && is_same(&cached.key, target.key) {
                    return Ok(!cached.route.queues().is_empty());
                }
                same
            }
            _ => false,
        };
        if !same_exchange {
            let exchange = ShortStr::new(target.exchange)?;
            let exchange = exchange.as_str("exchange")?;
            permit(link, vhost, user, exchange)?;
            self.cached = Some(Cached {
                exchange: exchange.to_owned(),
                key: Vec::new(),
                route: Route::default(),
                is_reusable: false,
            });
        }
        let Some(cached) = &mut self.cached else {
            return Ok(false);
        };
        let neutral = std::cell::OnceCell::new();
        let found = vhost.route(&cached.exchange, target.key, &mut || {
            neutral.get_or_init(|| mapping::neutral(target.properties))
        });
        let route = match found {
            Ok(route) => route,
            Err(error) => {
                self.cached = None;
                return Err(errors::refusal(&error, ""));
            }
        };
        cached.key.clear();
        cached.key.extend_from_slice(target.key);
        cached.is_reusable = route.is_cacheable();
        cached.route = route;
        self.serial += 1;
        Ok(!cached.route.queues().is_empty())
    }

    /// Adds a message that [`Publisher::route`] found a way for.
    pub(super) fn push(&mut self, draft: Draft<'_>, bytes: u64, channel: u16, tag: Option<u64>) {
        self.count(bytes);
        let Some(cached) = &self.cached else { return };
        let at = self.builder.len();
        self.builder.push(Draft {
            exchange: &cached.exchange,
            ..draft
        });
        if let Some(run) = self.runs.back_mut() {
            let follows = match (run.first_tag, tag) {
                (Some(first), Some(tag)) => first + run.range.len() as u64 == tag,
                (None, None) => true,
                _ => false,
            };
            if follows && run.serial == self.serial && run.channel == channel {
                run.range.end = at + 1;
                return;
            }
        }
        self.runs.push_back(Run {
            route: cached.route.clone(),
            serial: self.serial,
            range: at..at + 1,
            channel,
            first_tag: tag,
        });
    }

    /// Counts a message that goes nowhere.
    pub(super) fn count_unroutable(&mut self, bytes: u64, returned: bool) {
        self.count(bytes);
        self.unroutable += u64::from(!returned);
    }

    fn count(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
    }

    /// Pushes the batch in hand.
    ///
    /// # Errors
    /// 541 when the log has failed.
    pub(super) fn flush(
        &mut self,
        core: &Core,
        channels: &mut BTreeMap<u16, Channel>,
        now: CoreTime,
    ) -> Result<(), Refusal> {
        self.flush_counts(core);
        if self.builder.is_empty() || self.stalled.is_some() {
            return Ok(());
        }
        let batch = self.builder.finish(&self.producer, now, core.budget());
        let runs = std::mem::take(&mut self.runs);
        self.push_runs(core, channels, batch, runs, now)
    }

    /// Tries again what the log had no room for.
    ///
    /// # Errors
    /// As [`Publisher::flush`].
    pub(super) fn retry(
        &mut self,
        core: &Core,
        channels: &mut BTreeMap<u16, Channel>,
        now: CoreTime,
    ) -> Result<(), Refusal> {
        match self.stalled.take() {
            Some(stalled) => self.push_runs(core, channels, stalled.batch, stalled.runs, now),
            None => Ok(()),
        }
    }

    /// What a stalled push waits for: the next record of the log.
    pub(super) fn waits_for(&self, core: &Core) -> Option<Lsn> {
        let run = self.stalled.as_ref()?.runs.front()?;
        let shard = run.route.queues().first()?.shard();
        match core.watermark(shard) {
            Watermark::Durable(upto) => Lsn::new(shard, upto + 1),
            Watermark::Failed => None,
        }
    }

    fn push_runs(
        &mut self,
        core: &Core,
        channels: &mut BTreeMap<u16, Channel>,
        batch: MessageBatch,
        mut runs: VecDeque<Run>,
        now: CoreTime,
    ) -> Result<(), Refusal> {
        while let Some(run) = runs.front() {
            match core.publish(&batch, run.range.clone(), &run.route, now) {
                Ok(published) => {
                    let confirms = channels
                        .get_mut(&run.channel)
                        .and_then(|channel| channel.confirms.as_mut());
                    if let (Some(confirms), Some(first)) = (confirms, run.first_tag) {
                        confirm(confirms, run, first, &published);
                        self.confirming.insert(run.channel);
                    } else if let Some(withheld) = published.withheld.filter(|w| !w.is_kept) {
                        self.withheld.push_back((run.channel, withheld.by));
                    }
                    runs.pop_front();
                }
                Err(CoreError::Busy | CoreError::Full) => {
                    self.stalled = Some(Stalled {
                        batch,
                        runs,
                        retry: now + RETRY_MS,
                    });
                    return Ok(());
                }
                Err(error) => return Err(errors::refusal(&error, "")),
            }
        }
        if self.runs.is_empty() {
            // So are these, but they keep their memory for the next batch: not that of a huge read, for the connection may
            // idle from now on.
            runs.shrink_to(KEPT_RUNS);
            self.runs = runs;
        }
        Ok(())
    }

    /// The next channel that has to hear that what it published was taken by no queue.
    pub(super) fn take_withheld(&mut self) -> Option<(u16, Refusal)> {
        let (channel, by) = self.withheld.pop_front()?;
        let error = CoreError::Quarantined(Box::new(by));
        Some((channel, errors::refusal(&error, "")))
    }

    /// Notes a channel that has something to confirm without a push.
    pub(super) fn confirms(&mut self, channel: u16) {
        self.confirming.insert(channel);
    }

    /// Hands over the channels that got something to confirm.
    pub(super) fn take_confirming(&mut self, into: &mut ChannelSet) {
        into.append(&mut self.confirming);
    }

    /// Runs that it keeps room for.
    #[cfg(test)]
    pub(super) fn runs_room(&self) -> usize {
        self.runs.capacity()
    }

    fn flush_counts(&mut self, core: &Core) {
        if self.messages == 0 {
            return;
        }
        let metrics = core.metrics();
        let messages = std::mem::take(&mut self.messages);
        metrics.read_messages.inc_by(messages);
        metrics.published.of(DOOR).inc_by(messages);
        let bytes = std::mem::take(&mut self.bytes);
        metrics.published_bytes.of(DOOR).inc_by(bytes);
        metrics
            .unroutable
            .inc_by(std::mem::take(&mut self.unroutable));
    }
}

/// Whether two names are equal. The default exchange's is empty, and an empty slice that points nowhere makes a
/// vector comparison a hundred times slower than a full one.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

/// A pushed run's tags: what was refused is answered alone, the rest around it with the push's LSN. Of what not every
/// queue of the route got, nothing is confirmed.
fn confirm(
    confirms: &mut crate::protocols::amqp091::channel::Confirms,
    run: &Run,
    first: u64,
    published: &Published,
) {
    let tag_of = |index: usize| first + (index - run.range.start) as u64;
    if published.withheld.is_some() {
        for tag in run.range.clone().map(tag_of) {
            confirms.refuse(tag);
        }
        return;
    }
    let mut from = first;
    for &index in &published.refused {
        let tag = tag_of(index);
        confirms.accept(from..=tag - 1, published.lsn);
        confirms.refuse(tag);
        from = tag + 1;
    }
    confirms.accept(from..=tag_of(run.range.end) - 1, published.lsn);
}

/// Whether this exchange may be published to: asked when it is another than the last message's.
fn permit(link: &Link, vhost: &Vhost, user: &Identity, exchange: &str) -> Result<(), Refusal> {
    let vhost_name = vhost.name().as_str();
    let name = if exchange.is_empty() {
        DEFAULT_EXCHANGE
    } else {
        exchange
    };
    link.auth
        .permit(&user.user, vhost_name, Action::Write, name)
        .map_err(|error| {
            link.core.metrics().permissions_denied.of(DOOR).inc();
            errors::denied(&error, &errors::exchange_in(exchange, vhost_name))
        })?;
    if exchange.is_empty() {
        return Ok(());
    }
    let settings = vhost
        .exchange(exchange)
        .map_err(|error| errors::refusal(&error, ""))?;
    if settings.internal {
        let resource = errors::exchange_in(exchange, vhost_name);
        let text = format!("cannot publish to internal {resource}");
        return Err(Refusal::new(ReplyCode::AccessRefused, text));
    }
    Ok(())
}
