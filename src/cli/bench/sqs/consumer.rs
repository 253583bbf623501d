//! A consumer: receives what is there or waits for it, and deletes it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context;
use anyhow::ensure;
use bytes::Bytes;

use crate::cli::bench::receiving::Received;
use crate::cli::bench::receiving::Receiving;
use crate::cli::bench::shared::Shared;

use super::Sqs;
use super::calls;
use super::client::Client;
use super::refusal::Patience;

/// Runs a consumer to its end.
pub(super) async fn run(sqs: &Sqs, index: usize, shared: Arc<Shared>) -> anyhow::Result<Received> {
    let mut client = sqs.client();
    client.connect().await?;
    let urls = sqs.urls_of(&shared, index, shared.load.consumers);
    let url = urls.first().context("a consumer without a queue")?;
    let mut receiving = Receiving::new(Arc::clone(&shared))?;
    shared.is_ready();
    if shared.begun().await.is_some() {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => {}
            failed = receive(sqs, &mut client, url, &shared, &mut receiving) => failed?,
        }
    }
    Ok(receiving.end())
}

/// Receives and deletes; ends only by an error.
async fn receive(
    sqs: &Sqs,
    client: &mut Client,
    url: &str,
    shared: &Shared,
    receiving: &mut Receiving,
) -> anyhow::Result<()> {
    let input = calls::receive_input(url);
    let mut is_told = false;
    loop {
        // Once a message: an empty answer only means that the same wait goes on.
        if let Some(waiting) = sqs.waiting.as_ref().filter(|_| !is_told) {
            waiting.notify_one();
            is_told = true;
        }
        let answer = bearing(client, shared, "ReceiveMessage", &input).await?;
        receiving.begin_batch();
        let messages = calls::messages(&answer)?;
        for message in &messages {
            receiving.enter(message.label()?, message.is_redelivered())?;
        }
        receiving.end_batch();
        if messages.is_empty() {
            continue;
        }
        let input = calls::delete_input(url, &messages)?;
        let answer = bearing(client, shared, "DeleteMessageBatch", &input).await?;
        let deleted = calls::entries(&answer)?.successful.len();
        ensure!(
            deleted == messages.len(),
            "{deleted} of {} messages could be deleted",
            messages.len()
        );
        is_told = false;
    }
}

/// Calls until the call is not refused for now; refusals are counted.
async fn bearing(
    client: &mut Client,
    shared: &Shared,
    operation: &'static str,
    input: &[u8],
) -> anyhow::Result<Bytes> {
    let mut patience = Patience::default();
    loop {
        match client.call(operation, input.to_vec()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => {
                patience.bear(failure).await?;
                shared.counters.refused_calls.fetch_add(1, Relaxed);
            }
        }
    }
}
