//! SQS over HTTP/1.1 and AWS JSON 1.0: one connection a producer or consumer, one signed call at a time on it.
//!
//! ```text
//! producer   SendMessageBatch … SendMessageBatch …        its answer is the confirm
//! consumer   ReceiveMessage (10, waits) → DeleteMessageBatch → ReceiveMessage …
//! ```
//! An SDK signs each call and reads its answer before the next, so this does, too. A batch goes to one queue, the next
//! one to the next; a standard queue promises no order, and what the report says of it is no fault.

mod calls;
mod client;
mod consumer;
mod endpoint;
mod producer;
mod refusal;

use std::sync::Arc;
use std::sync::OnceLock;

use anyhow::ensure;
use tokio::sync::Notify;

use super::args::Load;
use super::args::SqsArgs;
use super::label::LABEL_BYTES;
use super::peer::Identity;
use super::peer::Peer;
use super::receiving::Received;
use super::sent::Sent;
use super::shared::Shared;

use client::Client;
use endpoint::Endpoint;

/// Bytes of a label in a message: a body is text, so it is written as hexadecimal digits.
const LABEL_DIGITS: usize = LABEL_BYTES * 2;

/// An SQS endpoint under load.
#[derive(Debug)]
pub(super) struct Sqs {
    endpoint: Arc<Endpoint>,
    batch: u64,
    /// With `--long-poll`: told by the consumer whenever it is about to wait for the next message.
    waiting: Option<Arc<Notify>>,
    /// URLs of the queues, in the order of their names.
    urls: OnceLock<Vec<String>>,
}

impl Sqs {
    /// Checks the flags, and completes `load` with what SQS always does: it keeps what it takes, and a producer has
    /// one batch unconfirmed.
    ///
    /// # Errors
    /// The URL is none that is spoken here, or a flag has no meaning for SQS.
    pub(super) fn new(url: &str, load: &mut Load, args: &SqsArgs) -> anyhow::Result<Self> {
        let digits = u64::try_from(LABEL_DIGITS)?;
        ensure!(
            load.size >= digits,
            "--size is at least {digits} for SQS, whose bodies are text"
        );
        ensure!(
            load.flush == 0 && load.prefetch == 0 && load.confirm_window == 0,
            "--flush, --prefetch and --confirm-window have no meaning for SQS; --batch has"
        );
        ensure!(
            load.consumers == 0 || load.queues <= load.consumers,
            "a ReceiveMessage waits at one queue: --queues is at most --consumers for SQS"
        );
        if args.long_poll {
            ensure!(
                (load.producers, load.consumers, load.queues, load.rate) == (1, 1, 1, 0),
                "--long-poll is one message at a time: 1 producer, 1 consumer, 1 queue, no --rate"
            );
            load.in_flight = 1;
        }
        load.durable = true;
        load.batch = Some(if args.long_poll { 1 } else { args.batch });
        load.confirm_window = load.batch.unwrap_or(1);
        Ok(Self {
            endpoint: Arc::new(Endpoint::new(url)?),
            batch: load.confirm_window,
            waiting: args.long_poll.then(Arc::default),
            urls: OnceLock::new(),
        })
    }

    fn client(&self) -> Client {
        Client::new(Arc::clone(&self.endpoint))
    }

    /// URLs of the queues of one of so many connections.
    fn urls_of(&self, shared: &Shared, connection: usize, connections: u64) -> Vec<String> {
        let names = shared.queues_of(connection, connections);
        let all = shared
            .queues
            .iter()
            .zip(self.urls.get().into_iter().flatten());
        all.filter(|(name, _)| names.contains(&name.as_str()))
            .map(|(_, url)| url.clone())
            .collect()
    }
}

impl Peer for Sqs {
    const NAME: &'static str = "sqs";

    type Control = Client;

    async fn prepare(&self, shared: &Shared) -> anyhow::Result<(Identity, Client)> {
        let mut client = self.client();
        let mut urls = Vec::with_capacity(shared.queues.len());
        for name in &shared.queues {
            urls.push(calls::create_queue(&mut client, name).await?);
        }
        let _ = self.urls.set(urls);
        Ok((client.identity(), client))
    }

    async fn produce(self: Arc<Self>, index: usize, shared: Arc<Shared>) -> anyhow::Result<Sent> {
        producer::run(&self, index, shared).await
    }

    async fn consume(
        self: Arc<Self>,
        index: usize,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Received> {
        consumer::run(&self, index, shared).await
    }

    async fn clean_up(&self, shared: &Shared, mut client: Client) -> anyhow::Result<()> {
        if shared.load.queue.is_none() {
            for url in self.urls.get().into_iter().flatten() {
                calls::delete_queue(&mut client, url).await?;
            }
        }
        Ok(())
    }
}
