//! One consumer: subscriptions, and a light scan of messages.

use std::sync::Arc;

use anyhow::Context as _;
use anyhow::bail;

use crate::cli::bench::label::LABEL_BYTES;
use crate::cli::bench::receiving::Received;
use crate::cli::bench::receiving::Receiving;
use crate::cli::bench::receiving::foreign;
use crate::cli::bench::shared::Shared;
use crate::cli::bench::url::Url;

use super::link::Link;

/// Subscribes until the run stops. Consumers that share a subject form a group, in which each message
/// has one receiver, as in a queue.
///
/// # Errors
/// The server ended the connection or refused, or a message is not ours.
pub(super) async fn consume(
    url: &Url,
    consumer: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Received> {
    let load = &shared.load;
    let mut link = Link::open(url).await?;
    let mut receiving = Receiving::new(Arc::clone(&shared))?;
    let group = if load.consumers > load.queues {
        "bench "
    } else {
        ""
    };
    for (sid, subject) in (1..).zip(shared.queues_of(consumer, load.consumers)) {
        link.ask(&format!("SUB {subject} {group}{sid}\r\n")).await?;
    }
    shared.is_ready();
    let mut scan = Scan {
        size: load.size,
        left: 0,
        label: None,
    };
    let stop = shared.stop.cancelled();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(receiving.end()),
            read = link.bytes().fill() => read?,
        }
        receiving.begin_batch();
        scan.batch(&mut link, &mut receiving)?;
        receiving.end_batch();
        link.pay().await?;
    }
}

/// Goes over messages and looks at nothing but what a book needs.
struct Scan {
    size: u64,
    /// Bytes of the payload, and the line end behind it, that are still to come.
    left: usize,
    /// The message's label, until all of it has come.
    label: Option<[u8; LABEL_BYTES]>,
}

/// What stands at the begin of the input.
#[derive(Debug, PartialEq, Eq)]
enum Item<'a> {
    /// A message's line, its length and the label behind it: this many bytes, and this many to skip.
    Message(usize, usize, &'a [u8; LABEL_BYTES]),
    /// Another line, of this many bytes.
    Other(usize),
}

impl Scan {
    fn batch(&mut self, link: &mut Link, receiving: &mut Receiving) -> anyhow::Result<()> {
        let mut at = 0;
        loop {
            let input = link.bytes().input();
            let skipped = self.left.min(input.len() - at);
            self.left -= skipped;
            at += skipped;
            if self.left == 0
                && let Some(label) = self.label.take()
            {
                receiving.enter(label, false)?;
            }
            match next(input.get(at..).unwrap_or_default(), self.size)? {
                None => break,
                Some(Item::Message(line, rest, label)) => {
                    self.label = Some(*label);
                    at += line;
                    self.left = rest;
                }
                Some(Item::Other(length)) => {
                    let line = input.get(at..at + length).unwrap_or_default().to_vec();
                    link.on_line(&line)?;
                    at += length;
                }
            }
        }
        link.bytes().consume(at);
        Ok(())
    }
}

/// Reads a line and, of a message, the label; `None` when more bytes must come first.
fn next(input: &[u8], size: u64) -> anyhow::Result<Option<Item<'_>>> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return Ok(None);
    };
    let (line, payload) = input.split_at(end + 1);
    let Some(fields) = line.strip_prefix(b"MSG ") else {
        return Ok(Some(Item::Other(line.len())));
    };
    let fields = fields.trim_ascii_end();
    let digits = memchr::memrchr(b' ', fields).and_then(|space| fields.get(space + 1..));
    let length = digits
        .and_then(number)
        .context("a message without a length")?;
    if length != size {
        bail!(foreign());
    }
    Ok(payload.first_chunk().map(|label| {
        Item::Message(
            line.len(),
            usize::try_from(length).unwrap_or(usize::MAX) + 2,
            label,
        )
    }))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_labels_are_found() {
        let message = b"MSG subject 1 20\r\n0123456789abcdef....\r\nPING\r\n";
        let expected = Item::Message(18, 22, b"0123456789abcdef");
        assert_eq!(next(message, 20).unwrap(), Some(expected));
        let reply = b"MSG subject 1 reply 16\r\n0123456789abcdef";
        assert!(matches!(
            next(reply, 16).unwrap(),
            Some(Item::Message(24, 18, _))
        ));
        assert_eq!(next(b"PING\r\nMSG", 16).unwrap(), Some(Item::Other(6)));
        for cut in 0..34 {
            assert_eq!(next(&message[..cut], 20).unwrap(), None, "{cut}");
        }
    }

    #[test]
    fn a_message_of_another_size_is_not_ours() {
        assert!(next(b"MSG subject 1 20\r\n", 21).is_err());
        assert!(next(b"MSG subject 1 2x\r\n", 2).is_err());
        assert!(next(b"MSG subject 1 99999999999999999999999\r\n", 2).is_err());
    }
}
