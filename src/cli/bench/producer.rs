//! One producer's loop, whatever the protocol: it reads and writes in the same task.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use super::recorder::Recorder;
use super::sending::Sending;
use super::sending::Turn;
use super::sent::Sent;
use super::shared::Shared;
use super::template::Template;
use super::wire::BLOCK_BYTES;
use super::wire::Pending;
use super::wire::Wire;

/// Writes before others on the thread get their turn, when they are small (--flush).
const MAX_WRITES: usize = 8;

/// Longest wait for what a broker said before it closed a connection.
const REASON_PATIENCE: Duration = Duration::from_millis(200);

/// A producer's connection.
pub(super) trait Line {
    /// Its bytes.
    fn wire(&mut self) -> &mut Wire;

    /// Reads once, and enters confirms; without a book everything that is left is thrown away.
    fn poll_read(
        &mut self,
        sending: Option<&mut Sending>,
        cx: &mut Context<'_>,
    ) -> Poll<anyhow::Result<()>>;

    /// Writes what must be written between two blocks.
    fn poll_between(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Publishes from the begin until the time is over and everything is confirmed, and keeps the
/// connection until the run stops: a broker may throw away what it has not read of one that ends.
///
/// # Errors
/// The broker ended the connection, or said what it must not say.
pub(super) async fn produce(
    line: &mut impl Line,
    template: Template,
    producer: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Sent> {
    shared.is_ready();
    let Some(phases) = shared.begun().await else {
        return Sent::new(Recorder::new()?);
    };
    let mut producer = Producer {
        line,
        template,
        pending: Pending::default(),
        sending: Sending::new(Arc::clone(&shared), producer, phases)?,
    };
    loop {
        match poll_fn(|cx| producer.poll_step(cx)).await {
            Ok(true) => break,
            // The runtime looks at the sockets of the others before it comes back.
            Ok(false) => tokio::task::yield_now().await,
            Err(error) => return Err(reason(producer.line, error).await),
        }
    }
    let Producer { line, sending, .. } = producer;
    let sent = sending.end()?;
    let stop = shared.stop.cancelled();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(sent),
            read = poll_fn(|cx| line.poll_read(None, cx)) => read?,
        }
    }
}

/// Why a connection failed: a broker that closes it says so before, and that may lie unread when a write
/// fails.
async fn reason(line: &mut impl Line, error: anyhow::Error) -> anyhow::Error {
    let reading = async {
        loop {
            if let Err(reason) = poll_fn(|cx| line.poll_read(None, cx)).await {
                return reason;
            }
        }
    };
    match tokio::time::timeout(REASON_PATIENCE, reading).await {
        // Nothing was said: then what failed first says more.
        Ok(reason) if reason.is::<io::Error>() => error,
        Ok(reason) => reason,
        Err(_) => error,
    }
}

struct Producer<'a, L> {
    line: &'a mut L,
    template: Template,
    pending: Pending,
    sending: Sending,
}

impl<L: Line> Producer<'_, L> {
    /// Reads, and writes one block, or a few small ones; whether this was the end.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<bool>> {
        let has_read = self.line.poll_read(Some(&mut self.sending), cx)?.is_ready();
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

    /// Writes a block, or what is left of one; how many bytes, or `None` for the end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<Option<usize>>> {
        if self.pending.is_empty() {
            std::task::ready!(self.line.poll_between(cx))?;
            let most = u64::try_from(self.template.images())?;
            match std::task::ready!(self.sending.poll_turn(most, cx)) {
                Turn::End => return Poll::Ready(Ok(None)),
                Turn::Send(batch) => {
                    let sending = &self.sending;
                    let label = |sequence| sending.label(&batch, sequence);
                    let range = self.template.fill(batch.first, batch.count, label);
                    self.sending.enter(&batch);
                    self.pending = Pending::of(range);
                }
            }
        }
        let before = self.pending.len();
        let block = self.template.block();
        let flushed = self.pending.poll_flush(block, self.line.wire(), cx)?;
        if flushed.is_pending() {
            // A broker that reads no more must not hold the end.
            return self.sending.poll_stop(cx).map(|()| Ok(None));
        }
        Poll::Ready(Ok(Some(before)))
    }
}
