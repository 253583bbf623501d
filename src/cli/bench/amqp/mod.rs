//! AMQP 0-9-1, as a client: one connection with one channel a producer or consumer.

mod consumer;
mod link;
mod producer;
mod publish;
mod reply;

use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;

use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::queue::Declare;
use crate::protocols::amqp091::codec::method::queue::Delete;

use super::args::Load;
use super::peer::Identity;
use super::peer::Peer;
use super::receiving::Received;
use super::sent::Sent;
use super::shared::Shared;
use super::url::Url;

use link::Link;
use reply::Reply;

/// The broker that is spoken to.
pub(super) struct Amqp {
    url: Url,
}

impl Amqp {
    /// Takes the broker's address.
    ///
    /// # Errors
    /// The URL, or a queue's name that is too long.
    pub(super) fn new(url: &str, load: &Load) -> anyhow::Result<Self> {
        if let Some(prefix) = &load.queue {
            // What stands behind it is a hyphen and four digits.
            ShortStr::try_from(format!("{prefix}-0000").as_str()).context("--queue")?;
        }
        Ok(Self {
            url: Url::parse(url, "amqp", 5672)?,
        })
    }

    async fn declare(link: &mut Link, shared: &Shared, queue: &str) -> anyhow::Result<()> {
        let declare = Declare {
            queue: ShortStr::try_from(queue)?,
            durable: shared.load.durable,
            arguments: RawTable::default(),
            ..Declare::default()
        };
        let declared = link.ask(&declare, "queue.declare-ok", Reply::queue).await?;
        let (messages, consumers) = declared;
        if messages > 0 || consumers > 0 {
            bail!("queue {queue} has {messages} messages and {consumers} consumers already");
        }
        Ok(())
    }
}

impl Peer for Amqp {
    const NAME: &'static str = "amqp";

    type Control = Link;

    async fn prepare(&self, shared: &Shared) -> anyhow::Result<(Identity, Link)> {
        let mut link = Link::open(&self.url, &shared.blocked).await?;
        for queue in &shared.queues {
            Self::declare(&mut link, shared, queue).await?;
        }
        Ok((link.identity().clone(), link))
    }

    async fn produce(
        self: Arc<Self>,
        producer: usize,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Sent> {
        producer::produce(&self.url, producer, shared).await
    }

    async fn consume(
        self: Arc<Self>,
        consumer: usize,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Received> {
        consumer::consume(&self.url, consumer, shared).await
    }

    async fn clean_up(&self, shared: &Shared, mut link: Link) -> anyhow::Result<()> {
        if shared.load.queue.is_none() {
            for queue in &shared.queues {
                let delete = Delete {
                    queue: ShortStr::try_from(queue.as_str())?,
                    ..Delete::default()
                };
                link.ask(&delete, "queue.delete-ok", Reply::is_delete_ok)
                    .await?;
            }
        }
        link.close().await;
        Ok(())
    }
}
