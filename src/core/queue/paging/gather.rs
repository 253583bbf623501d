//! Messages that come back are gathered into batches: one allocation for many, as when they came.

use std::sync::Arc;

use crate::core::budget::Budget;
use crate::core::model::batch::BatchBuilder;
use crate::core::model::batch::Draft;
use crate::core::model::batch::DraftBody;
use crate::core::model::message::Message;
use crate::core::model::message::Producer;
use crate::core::model::time::CoreTime;

/// What a batch does not know of a draft.
pub(in crate::core) struct Gathered<'a> {
    pub(in crate::core) enqueued_at: CoreTime,
    pub(in crate::core) user: &'a str,
    pub(in crate::core) client_id: &'a str,
    /// As [`Message::raw_id`].
    pub(in crate::core) id: u64,
}

/// Makes messages of drafts. Neighbours from one producer and one millisecond share a batch.
pub(in crate::core) struct Gather<K> {
    budget: Arc<Budget>,
    builder: BatchBuilder,
    producer: Arc<Producer>,
    enqueued_at: CoreTime,
    /// Of the drafts in hand.
    names: Vec<(K, u64)>,
    messages: Vec<(K, Message)>,
}

impl<K> Gather<K> {
    pub(in crate::core) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            builder: BatchBuilder::new(),
            producer: Arc::default(),
            enqueued_at: CoreTime::default(),
            names: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Adds a message, to be found under `key`.
    pub(in crate::core) fn push(&mut self, draft: Draft<'_>, of: Gathered<'_>, key: K) {
        let is_same = is_same(&self.producer.user, of.user)
            && is_same(&self.producer.client_id, of.client_id);
        if !is_same || self.enqueued_at != of.enqueued_at || self.builder.is_full() {
            self.close();
            self.enqueued_at = of.enqueued_at;
            if !is_same {
                self.producer = Arc::new(Producer {
                    user: of.user.into(),
                    client_id: of.client_id.into(),
                });
            }
        }
        // A neighbour would keep its file from going.
        let is_file = matches!(draft.body, DraftBody::File(_));
        if is_file {
            self.close();
        }
        self.builder.push(draft);
        self.names.push((key, of.id));
        if is_file {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.names.is_empty() {
            return;
        }
        let batch = self
            .builder
            .finish(&self.producer, self.enqueued_at, &self.budget);
        for (at, (key, id)) in self.names.drain(..).enumerate() {
            if let Some(message) = batch.message(at) {
                message.set_raw_id(id);
                self.messages.push((key, message));
            }
        }
    }

    /// The messages, in order.
    pub(in crate::core) fn finish(mut self) -> Vec<(K, Message)> {
        self.close();
        self.messages
    }
}

/// Whether two texts are equal. Empty ones point nowhere, and a comparison with such costs more than all the rest.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}
