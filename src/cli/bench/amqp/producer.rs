//! One producer: its channel, its template, and what confirms say.

use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use anyhow::Context as _;

use crate::cli::bench::producer;
use crate::cli::bench::producer::Line;
use crate::cli::bench::sending::Sending;
use crate::cli::bench::sent::Sent;
use crate::cli::bench::shared::Shared;
use crate::cli::bench::template::Template;
use crate::cli::bench::url::Url;
use crate::cli::bench::wire::Wire;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::RawFrame;
use crate::protocols::amqp091::codec::method::basic::BasicMethod;
use crate::protocols::amqp091::codec::method::confirm::ConfirmMethod;
use crate::protocols::amqp091::codec::method::confirm::Select;

use super::link::Link;
use super::link::unasked;
use super::publish::publish;

/// Publishes until the run is over; brings the latencies of confirms.
///
/// # Errors
/// The broker ended the connection, or said what it must not say.
pub(super) async fn produce(
    url: &Url,
    producer: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Sent> {
    let load = &shared.load;
    let mut link = Link::open(url, &shared.blocked).await?;
    if load.confirms() {
        link.ask(&Select::default(), "confirm.select-ok", |method| {
            matches!(method, Method::Confirm(ConfirmMethod::SelectOk(_))).then_some(())
        })
        .await?;
    }
    let queues = shared.queues_of(producer, load.producers);
    let first = queues.first().copied().unwrap_or_default();
    let size = usize::try_from(load.size)?;
    let image = publish(first, size, load.durable, link.frame_max)?;
    let template = Template::new(image, &queues, usize::try_from(load.flush)?);
    let sent = producer::produce(&mut link, template, producer, Arc::clone(&shared)).await?;
    link.close().await;
    Ok(sent)
}

impl Line for Link {
    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn poll_read(
        &mut self,
        sending: Option<&mut Sending>,
        cx: &mut Context<'_>,
    ) -> Poll<anyhow::Result<()>> {
        match sending {
            Some(sending) => self.poll_frames(cx, |frame| on_frame(frame, sending)),
            None => self.poll_frames(cx, |frame| match confirm(frame)? {
                Some(_) => Ok(()),
                None => unasked(frame),
            }),
        }
    }
}

fn on_frame(frame: &RawFrame<'_>, sending: &mut Sending) -> anyhow::Result<()> {
    match confirm(frame)? {
        Some(BasicMethod::Ack(ack)) => sending.confirm(sequence(ack.delivery_tag)?, ack.multiple),
        Some(BasicMethod::Nack(nack)) => {
            sending.refuse(sequence(nack.delivery_tag)?, nack.multiple)
        }
        Some(_) | None => unasked(frame),
    }
}

/// The ack or nack in a frame, if it is one.
fn confirm<'a>(frame: &RawFrame<'a>) -> anyhow::Result<Option<BasicMethod<'a>>> {
    if frame.kind != FrameKind::Method {
        return Ok(None);
    }
    let Method::Basic(method) = Method::decode(frame.payload)? else {
        return Ok(None);
    };
    let is_confirm = matches!(method, BasicMethod::Ack(_) | BasicMethod::Nack(_));
    Ok(is_confirm.then_some(method))
}

/// Tags count publishes from 1, sequence numbers from 0.
fn sequence(tag: u64) -> anyhow::Result<u64> {
    tag.checked_sub(1).context("the broker confirmed tag 0")
}
