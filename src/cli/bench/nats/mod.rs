//! Core NATS: subjects in the place of queues, nothing kept, nothing confirmed.
//!
//! ```text
//! server  INFO {...}    MSG subject sid [reply] bytes ␍␊ payload    PING    PONG    +OK    -ERR 'why'
//! client  CONNECT {...} SUB subject [group] sid   PUB subject bytes ␍␊ payload    PING    PONG
//! ```
//! Every line ends with CR LF, and so does a payload (the client protocol of nats.io).

mod consumer;
mod link;

use std::sync::Arc;

use anyhow::bail;

use super::args::Load;
use super::peer::Identity;
use super::peer::Peer;
use super::producer;
use super::receiving::Received;
use super::sent::Sent;
use super::shared::Shared;
use super::template::Image;
use super::template::Template;
use super::url::Url;

use link::Link;

/// The server that is spoken to.
pub(super) struct Nats {
    url: Url,
}

impl Nats {
    /// Takes the server's address.
    ///
    /// # Errors
    /// The URL, or a flag for something that core NATS doesn't have.
    pub(super) fn new(url: &str, load: &Load) -> anyhow::Result<Self> {
        for (flag, is_set) in [
            ("--durable", load.durable),
            ("--confirm-window", load.confirms()),
            ("--prefetch", load.prefetch > 0),
        ] {
            if is_set {
                bail!("{flag}: core NATS keeps, confirms and acknowledges nothing");
            }
        }
        let is_subject = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
        if load.queue.as_deref().is_some_and(|name| !is_subject(name)) {
            bail!("--queue: a subject has no spaces");
        }
        Ok(Self {
            url: Url::parse(url, "nats", 4222)?,
        })
    }
}

impl Peer for Nats {
    const NAME: &'static str = "nats";

    type Control = ();

    async fn prepare(&self, _shared: &Shared) -> anyhow::Result<(Identity, ())> {
        // A subject is there as long as somebody listens to it.
        let link = Link::open(&self.url).await?;
        Ok((link.identity().clone(), ()))
    }

    async fn produce(
        self: Arc<Self>,
        producer: usize,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Sent> {
        let mut link = Link::open(&self.url).await?;
        let load = &shared.load;
        let subjects = shared.queues_of(producer, load.producers);
        let subject = subjects.first().copied().unwrap_or_default();
        let image = publish(subject, usize::try_from(load.size)?);
        let template = Template::new(image, &subjects, usize::try_from(load.flush)?);
        producer::produce(&mut link, template, producer, Arc::clone(&shared)).await
    }

    async fn consume(
        self: Arc<Self>,
        consumer: usize,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Received> {
        consumer::consume(&self.url, consumer, shared).await
    }

    async fn clean_up(&self, _shared: &Shared, (): ()) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A message as it is published.
fn publish(subject: &str, size: usize) -> Image {
    let mut bytes = format!("PUB {subject} {size}\r\n").into_bytes();
    let label_at = bytes.len();
    bytes.resize(label_at + size, b'.');
    bytes.extend_from_slice(b"\r\n");
    Image {
        bytes,
        label_at,
        queue_at: "PUB ".len(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shared::tests::load;
    use super::*;

    #[test]
    fn a_publish_has_its_label_and_subject_where_the_image_says() {
        let image = publish("subject", 16);
        assert_eq!(image.bytes, *b"PUB subject 16\r\n................\r\n");
        assert_eq!(image.bytes[image.label_at..][..16], [b'.'; 16]);
        assert!(image.bytes[image.queue_at..].starts_with(b"subject "));
    }

    #[test]
    fn flags_for_what_core_nats_does_not_have_are_refused() {
        let new = |flags| Nats::new("nats://127.0.0.1", &load(flags)).map(|nats| nats.url.port);
        assert_eq!(new("--producers 3").unwrap(), 4222);
        let error = new("--prefetch 5").unwrap_err().to_string();
        assert!(error.starts_with("--prefetch:"), "{error}");
        assert!(new("--durable").is_err());
        assert!(new("--confirm-window 5").is_err());
    }
}
