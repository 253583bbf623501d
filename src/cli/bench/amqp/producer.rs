//! One producer: it reads confirms and writes publishes in the same loop.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use anyhow::Context as _;

use crate::cli::bench::recorder::Recorder;
use crate::cli::bench::sending::Sending;
use crate::cli::bench::sending::Turn;
use crate::cli::bench::shared::Shared;
use crate::cli::bench::url::Url;
use crate::cli::bench::wire::BLOCK_BYTES;
use crate::cli::bench::wire::Pending;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::RawFrame;
use crate::protocols::amqp091::codec::method::basic::BasicMethod;
use crate::protocols::amqp091::codec::method::confirm::ConfirmMethod;
use crate::protocols::amqp091::codec::method::confirm::Select;

use super::link::Link;
use super::link::unasked;
use super::template::Template;

/// Writes before others on the thread get their turn, when they are small (--flush).
const MAX_WRITES: usize = 8;

/// Publishes until the time is over and everything is confirmed; brings the latencies of confirms.
///
/// # Errors
/// The broker ended the connection, or said what it must not say.
pub(super) async fn produce(
    url: &Url,
    producer: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Recorder> {
    let load = &shared.load;
    let mut link = Link::open(url).await?;
    if load.confirms() {
        link.ask(&Select::default(), "confirm.select-ok", |method| {
            matches!(method, Method::Confirm(ConfirmMethod::SelectOk(_))).then_some(())
        })
        .await?;
    }
    let template = Template::new(
        &shared.queues_of(producer, load.producers),
        usize::try_from(load.size)?,
        load.durable,
        usize::try_from(load.flush)?,
        link.frame_max,
    )?;
    shared.is_ready();
    let Some(phases) = shared.begun().await else {
        return Recorder::new();
    };
    let mut producer = Producer {
        link,
        template,
        pending: Pending::default(),
        sending: Sending::new(Arc::clone(&shared), producer, phases)?,
    };
    while !poll_fn(|cx| producer.poll_step(cx)).await? {
        tokio::task::yield_now().await;
    }
    let Producer {
        mut link, sending, ..
    } = producer;
    let latency = sending.end();
    // A broker may throw away what it hasn't read of a connection that ends: it stays until all is drained.
    let stop = shared.stop.cancelled();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            read = poll_fn(|cx| link.poll_frames(cx, unasked)) => read?,
        }
    }
    link.close().await;
    Ok(latency)
}

struct Producer {
    link: Link,
    template: Template,
    pending: Pending,
    sending: Sending,
}

impl Producer {
    /// Reads, and writes one block, or a few small ones; whether this was the end.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<bool>> {
        // Confirms make room. One read is enough, unless there is nothing else to do.
        let has_read = self.poll_read(cx)?.is_ready();
        let mut writes = 0;
        let mut bytes = 0;
        while writes < MAX_WRITES && bytes < BLOCK_BYTES {
            match self.poll_write(cx)? {
                Poll::Ready(None) => return Poll::Ready(Ok(true)),
                Poll::Ready(Some(count)) => bytes += count,
                Poll::Pending => break,
            }
            writes += 1;
        }
        if has_read || writes > 0 {
            return Poll::Ready(Ok(false));
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<()>> {
        let sending = &mut self.sending;
        self.link.poll_frames(cx, |frame| on_frame(frame, sending))
    }

    /// Writes a block, or what is left of one; how many bytes, or `None` for the end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<Option<usize>>> {
        if self.pending.from == self.pending.to {
            let most = u64::try_from(self.template.images())?;
            match std::task::ready!(self.sending.poll_turn(most, cx)) {
                Turn::End => return Poll::Ready(Ok(None)),
                Turn::Send(batch) => {
                    let sending = &self.sending;
                    let label = |sequence| sending.label(&batch, sequence);
                    let range = self.template.fill(batch.first, batch.count, label);
                    self.sending.enter(&batch);
                    self.pending = Pending {
                        from: range.start,
                        to: range.end,
                    };
                }
            }
        }
        let before = self.pending.from;
        let flushed = self
            .pending
            .poll_flush(self.template.bytes(), &mut self.link.wire, cx)?;
        std::task::ready!(flushed);
        Poll::Ready(Ok(Some(self.pending.to - before)))
    }
}

fn on_frame(frame: &RawFrame<'_>, sending: &mut Sending) -> anyhow::Result<()> {
    if frame.kind != FrameKind::Method {
        return unasked(frame);
    }
    let Method::Basic(method) = Method::decode(frame.payload)? else {
        return unasked(frame);
    };
    if let BasicMethod::Ack(ack) = method {
        sending.confirm(sequence(ack.delivery_tag)?, ack.multiple)
    } else if let BasicMethod::Nack(nack) = method {
        sending.refuse(sequence(nack.delivery_tag)?, nack.multiple)
    } else {
        unasked(frame)
    }
}

/// Tags count publishes from 1, sequence numbers from 0.
fn sequence(tag: u64) -> anyhow::Result<u64> {
    tag.checked_sub(1).context("the broker confirmed tag 0")
}
