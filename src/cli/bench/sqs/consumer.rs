//! A consumer: receives what is there or waits for it, and deletes it.

use std::sync::Arc;

use anyhow::Context;
use anyhow::ensure;

use crate::cli::bench::receiving::Received;
use crate::cli::bench::receiving::Receiving;
use crate::cli::bench::shared::Shared;

use super::Sqs;
use super::calls;
use super::client::Client;

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
            failed = receive(sqs, &mut client, url, &mut receiving) => failed?,
        }
    }
    Ok(receiving.end())
}

/// Receives and deletes; ends only by an error.
async fn receive(
    sqs: &Sqs,
    client: &mut Client,
    url: &str,
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
        let answer = client.call("ReceiveMessage", input.clone()).await?;
        receiving.begin_batch();
        let messages = calls::messages(&answer)?;
        for message in &messages {
            receiving.enter(message.label()?, message.is_redelivered())?;
        }
        receiving.end_batch();
        if messages.is_empty() {
            continue;
        }
        let answer = client
            .call("DeleteMessageBatch", calls::delete_input(url, &messages)?)
            .await?;
        let deleted = calls::entries(&answer)?.successful.len();
        ensure!(
            deleted == messages.len(),
            "{deleted} of {} messages could be deleted",
            messages.len()
        );
        is_told = false;
    }
}
