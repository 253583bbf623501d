//! A channel: answers in order, content in the making, confirms, what is unacknowledged.

mod confirms;

mod content;

mod replies;

mod set;

mod unacked;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::queue::Queue;
use crate::core::queue::settings::QueueSettings;
use crate::protocols::amqp091::arguments;

pub(super) use confirms::Confirms;
pub(super) use content::Content;
pub(super) use content::Large;
pub(super) use content::Partial;
pub(super) use replies::Replies;
pub(super) use set::ChannelSet;
pub(super) use unacked::Lease;
pub(super) use unacked::Unacked;

/// A queue that the channel has taken from.
pub(super) struct Source {
    pub(super) queue: Arc<Queue>,
    /// Declared as a quorum queue: deliveries show their count, and a lost link counts all of them.
    pub(super) is_quorum: bool,
}

/// Whether a channel is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is.
    Open,
    /// We sent channel.close: everything but its answer is ignored (0-9-1 §1.5.2.5).
    Closing,
    /// The client closed it, and answers are still to come before the last one.
    Leaving,
}

/// One channel of a connection.
pub(super) struct Channel {
    pub(super) state: State,
    /// The client asked for no content for now (channel.flow).
    pub(super) paused: bool,
    pub(super) replies: Replies,
    pub(super) content: Content,
    /// Present once confirm.select came.
    pub(super) confirms: Option<Confirms>,
    pub(super) unacked: Unacked,
    /// Queues by the index that [`Lease::source`] has.
    pub(super) sources: Vec<Source>,
    next_delivery_tag: u64,
    /// Most unacknowledged deliveries of the whole channel; 0 = no limit.
    pub(super) channel_prefetch: u16,
    /// The same for each consumer that is started from now on.
    pub(super) consumer_prefetch: u16,
    /// Unacknowledged deliveries to consumers: what `channel_prefetch` bounds.
    pub(super) in_flight: usize,
    /// What an empty queue name stands for.
    pub(super) last_queue: Option<String>,
    /// Consumers by tag.
    pub(super) tags: BTreeMap<Box<[u8]>, u64>,
}

impl Channel {
    pub(super) fn new() -> Self {
        Self {
            state: State::Open,
            paused: false,
            replies: Replies::default(),
            content: Content::default(),
            confirms: None,
            unacked: Unacked::default(),
            sources: Vec::new(),
            next_delivery_tag: 1,
            channel_prefetch: 0,
            consumer_prefetch: 0,
            in_flight: 0,
            last_queue: None,
            tags: BTreeMap::new(),
        }
    }

    /// Whether no content is on its way in.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.content, Content::None)
    }

    /// The tag of the next delivery.
    pub(super) fn next_tag(&mut self) -> u64 {
        let tag = self.next_delivery_tag;
        self.next_delivery_tag += 1;
        tag
    }

    /// The index of a queue in the channel's list.
    pub(super) fn source(&mut self, queue: &Arc<Queue>) -> usize {
        let known = self
            .sources
            .iter()
            .position(|source| source.queue.id() == queue.id());
        if let Some(known) = known {
            return known;
        }
        if self.unacked.is_empty() && self.tags.is_empty() {
            // Nothing refers to the list: a client that polls many queues does not make it grow.
            self.sources.clear();
        }
        self.sources.push(Source {
            queue: Arc::clone(queue),
            is_quorum: is_quorum(&queue.settings()),
        });
        self.sources.len() - 1
    }

    /// Whether deliveries of a source show how often they failed.
    pub(super) fn shows_count(&self, source: usize) -> bool {
        self.sources
            .get(source)
            .is_some_and(|source| source.is_quorum)
    }

    /// How many deliveries the channel as a whole may still get.
    pub(super) fn credit(&self) -> usize {
        match usize::from(self.channel_prefetch) {
            _ if self.paused || self.state != State::Open => 0,
            0 => usize::MAX,
            limit => limit.saturating_sub(self.in_flight),
        }
    }
}

fn is_quorum(settings: &QueueSettings) -> bool {
    arguments::declared_type(settings) == arguments::QUORUM
}
