//! A producer: batch after batch, each answer before the next.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::cli::bench::recorder::Recorder;
use crate::cli::bench::sending::Batch;
use crate::cli::bench::sending::Sending;
use crate::cli::bench::sending::Turn;
use crate::cli::bench::sent::Sent;
use crate::cli::bench::shared::Shared;

use super::Sqs;
use super::calls;
use super::calls::SendInput;
use super::client::Client;
use super::refusal::Patience;

/// From the moment at which a consumer begins to wait until the message that wakes it. Nothing tells that its call
/// has arrived; on any network this is long enough for it.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a producer to its end.
pub(super) async fn run(sqs: &Sqs, index: usize, shared: Arc<Shared>) -> anyhow::Result<Sent> {
    let mut client = sqs.client();
    client.connect().await?;
    let size = usize::try_from(shared.load.size)?;
    let urls = sqs.urls_of(&shared, index, shared.load.producers);
    let inputs: Vec<SendInput> = urls.iter().map(|url| SendInput::new(url, size)).collect();
    shared.is_ready();
    let Some(phases) = shared.begun().await else {
        return Sent::new(Recorder::new()?);
    };
    let mut sending = Sending::new(Arc::clone(&shared), index, phases)?;
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        ended = send(sqs, &mut client, &inputs, &mut sending) => ended?,
    }
    let sent = sending.end()?;
    shared.stop.cancelled().await;
    Ok(sent)
}

/// Sends until the time is over, to one queue after the other.
async fn send(
    sqs: &Sqs,
    client: &mut Client,
    inputs: &[SendInput],
    sending: &mut Sending,
) -> anyhow::Result<()> {
    let mut patience = Patience::default();
    for input in inputs.iter().cycle() {
        if let Some(waiting) = &sqs.waiting {
            wait_for_waiting(waiting).await;
        }
        let Turn::Send(batch) = poll_fn(|cx| sending.poll_turn(sqs.batch, cx)).await else {
            break;
        };
        sending.enter(&batch);
        let sequences = batch.first..batch.first + batch.count;
        let body = input.write(sequences.map(|sequence| sending.label(&batch, sequence)));
        match client.call("SendMessageBatch", body).await {
            Ok(answer) => {
                patience.renew();
                enter(&calls::entries(&answer)?, &batch, sending)?;
            }
            Err(failure) => {
                sending.refuse(batch.first + batch.count - 1, true)?;
                if let Some(waiting) = &sqs.waiting {
                    // The consumer waits on: nothing has woken it.
                    waiting.notify_one();
                }
                patience.bear(failure).await?;
            }
        }
    }
    Ok(())
}

async fn wait_for_waiting(waiting: &Notify) {
    waiting.notified().await;
    tokio::time::sleep(PAUSE).await;
}

/// Enters what became of a batch.
fn enter(entries: &calls::Entries<'_>, batch: &Batch, sending: &mut Sending) -> anyhow::Result<()> {
    for entry in &entries.successful {
        sending.confirm(batch.first + entry.place(batch.count)?, false)?;
    }
    for entry in &entries.failed {
        sending.refuse(batch.first + entry.place(batch.count)?, false)?;
    }
    Ok(())
}
