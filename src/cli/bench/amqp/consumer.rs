//! One consumer: a light scan of deliveries, and one ack a read.

use std::future::poll_fn;
use std::sync::Arc;

use anyhow::Context as _;
use anyhow::bail;

use crate::cli::bench::label::LABEL_BYTES;
use crate::cli::bench::receiving::Received;
use crate::cli::bench::receiving::Receiving;
use crate::cli::bench::receiving::foreign;
use crate::cli::bench::shared::Shared;
use crate::cli::bench::url::Url;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::RawFrame;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::basic::Ack;
use crate::protocols::amqp091::codec::method::basic::BasicMethod;
use crate::protocols::amqp091::codec::method::basic::Consume;
use crate::protocols::amqp091::codec::method::basic::Qos;
use crate::protocols::amqp091::codec::write_method;

use super::link::CHANNEL;
use super::link::Link;
use super::link::unasked;

/// Consumes until the run stops.
///
/// # Errors
/// The broker ended the connection or a consumer, or a message is not ours.
pub(super) async fn consume(
    url: &Url,
    consumer: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Received> {
    let load = &shared.load;
    let mut link = Link::open(url, &shared.blocked).await?;
    if load.prefetch > 0 {
        let qos = Qos {
            prefetch_count: u16::try_from(load.prefetch)?,
            ..Qos::default()
        };
        link.ask(&qos, "basic.qos-ok", |method| {
            matches!(method, Method::Basic(BasicMethod::QosOk(_))).then_some(())
        })
        .await?;
    }
    let mut receiving = Receiving::new(Arc::clone(&shared))?;
    for queue in shared.queues_of(consumer, load.consumers) {
        let consume = Consume {
            queue: ShortStr::try_from(queue)?,
            // Broker-made tags are some thirty bytes long, and every delivery carries its tag.
            consumer_tag: ShortStr::try_from(queue.rsplit('-').next().unwrap_or(queue))?,
            no_ack: load.prefetch == 0,
            arguments: RawTable::default(),
            ..Consume::default()
        };
        link.ask(&consume, "basic.consume-ok", |method| {
            matches!(method, Method::Basic(BasicMethod::ConsumeOk(_))).then_some(())
        })
        .await?;
    }
    shared.is_ready();
    receive(&mut link, &shared, &mut receiving).await?;
    link.close().await;
    Ok(receiving.end())
}

async fn receive(
    link: &mut Link,
    shared: &Shared,
    receiving: &mut Receiving,
) -> anyhow::Result<()> {
    let acks = shared.load.prefetch > 0;
    let mut scan = Scan::new(shared.load.size);
    let mut acked = 0;
    let mut out = Vec::new();
    let stop = shared.stop.cancelled();
    tokio::pin!(stop);
    loop {
        let mut has_begun = false;
        let read = poll_fn(|cx| {
            link.poll_frames(cx, |frame| {
                if !has_begun {
                    receiving.begin_batch();
                    has_begun = true;
                }
                scan.on_frame(frame, receiving)
            })
        });
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            read = read => read?,
        }
        receiving.end_batch();
        if acks && scan.whole_tag > acked {
            acked = scan.whole_tag;
            let ack = Ack {
                delivery_tag: acked,
                multiple: true,
            };
            out.clear();
            write_method(&mut out, CHANNEL, &ack);
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                written = link.wire.write(&out) => written?,
            }
        }
    }
}

/// Where in a delivery the scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Method,
    Header,
    /// This many bytes of the body are to come.
    Body(u64),
}

/// Goes over deliveries and looks at nothing but what a book needs.
#[derive(Debug)]
struct Scan {
    at: At,
    size: u64,
    tag: u64,
    redelivered: bool,
    label: [u8; LABEL_BYTES],
    /// Delivery tag of the last message that is whole.
    whole_tag: u64,
}

impl Scan {
    fn new(size: u64) -> Self {
        Self {
            at: At::Method,
            size,
            tag: 0,
            redelivered: false,
            label: [0; LABEL_BYTES],
            whole_tag: 0,
        }
    }

    #[inline]
    fn on_frame(&mut self, frame: &RawFrame<'_>, receiving: &mut Receiving) -> anyhow::Result<()> {
        match (frame.kind, self.at) {
            (FrameKind::Method, At::Method) => {
                let Some((tag, redelivered)) = deliver(frame.payload) else {
                    return not_a_delivery(frame);
                };
                self.tag = tag;
                self.redelivered = redelivered;
                self.at = At::Header;
            }
            (FrameKind::Header, At::Header) => {
                let size = frame.payload.get(4..).and_then(|rest| rest.first_chunk());
                if size.copied().map(u64::from_be_bytes) != Some(self.size) {
                    bail!(foreign());
                }
                self.at = At::Body(self.size);
            }
            (FrameKind::Body, At::Body(left)) => {
                if left == self.size {
                    let label = frame.payload.first_chunk::<LABEL_BYTES>();
                    self.label = *label.with_context(foreign)?;
                }
                let left = left.checked_sub(u64::try_from(frame.payload.len())?);
                self.at = At::Body(left.context("a body is longer than its header says")?);
                if self.at == At::Body(0) {
                    self.at = At::Method;
                    self.whole_tag = self.tag;
                    // Not before: a message whose end never comes has not arrived.
                    receiving.enter(self.label, self.redelivered)?;
                }
            }
            _ => return not_a_delivery(frame),
        }
        Ok(())
    }
}

/// Delivery tag and redelivered flag of a `basic.deliver`: class 60, method 60, consumer tag, delivery
/// tag, flags (0-9-1 §1.8.3.13). The full decoder would look at exchange and routing key, too.
#[inline]
fn deliver(payload: &[u8]) -> Option<(u64, bool)> {
    let rest = payload.strip_prefix(&[0, 60, 0, 60])?;
    let (&length, rest) = rest.split_first()?;
    let rest = rest.get(usize::from(length)..)?;
    let (tag, rest) = rest.split_first_chunk()?;
    Some((u64::from_be_bytes(*tag), rest.first()? & 1 == 1))
}

#[cold]
fn not_a_delivery(frame: &RawFrame<'_>) -> anyhow::Result<()> {
    if frame.kind == FrameKind::Method
        && let Method::Basic(BasicMethod::Cancel(cancel)) = Method::decode(frame.payload)?
    {
        bail!(
            "the broker cancelled consumer {}",
            cancel.consumer_tag.lossy()
        );
    }
    unasked(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::label::Label;
    use crate::cli::bench::shared::tests::load;
    use crate::protocols::amqp091::codec::frame::Frames;
    use crate::protocols::amqp091::codec::method::basic::Deliver;
    use crate::protocols::amqp091::codec::write_body_frames;
    use crate::protocols::amqp091::codec::write_content_header;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn a_message_arrives_with_its_last_frame() {
        let shared = Arc::new(Shared::new(load("--size 20")).unwrap());
        shared.hand_out(0, 1);
        let mut receiving = Receiving::new(Arc::clone(&shared)).unwrap();
        let label = Label {
            run: shared.run,
            producer: 0,
            sequence: 0,
            sent_at: 0,
        };
        let mut body = label.to_bytes().to_vec();
        body.resize(20, b'.');
        let mut out = Vec::new();
        write_method(&mut out, CHANNEL, &Deliver::default());
        write_content_header(&mut out, CHANNEL, 20, &[0, 0]);
        write_body_frames(&mut out, CHANNEL, [&body[..16], &body[16..]], 4096);
        let mut scan = Scan::new(20);
        let mut arrived = Vec::new();
        for frame in Frames::new(&out, 4096) {
            scan.on_frame(&frame.unwrap(), &mut receiving).unwrap();
            receiving.end_batch();
            arrived.push(shared.counters.settled.load(Relaxed));
        }
        assert_eq!(arrived, [0, 0, 0, 1]);
    }

    #[test]
    fn the_light_scan_reads_what_the_codec_writes() {
        for (redelivered, tag) in [(false, 1), (true, u64::MAX)] {
            let method = Deliver {
                consumer_tag: ShortStr::try_from("0001").unwrap(),
                delivery_tag: tag,
                redelivered,
                exchange: ShortStr::default(),
                routing_key: ShortStr::try_from("q").unwrap(),
            };
            let mut out = Vec::new();
            write_method(&mut out, CHANNEL, &method);
            let frame = Frames::new(&out, 4096).next().unwrap().unwrap();
            assert_eq!(deliver(frame.payload), Some((tag, redelivered)));
            for cut in 0..17 {
                assert_eq!(deliver(&frame.payload[..cut]), None);
            }
        }
        assert_eq!(deliver(&[0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]), None);
    }
}
