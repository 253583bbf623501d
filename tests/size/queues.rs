//! Queues: what an idle one takes.

use std::time::Instant;

use viaduct::core::queue::settings::QueueSettings;

use crate::broker::Folder;
use crate::broker::allocated;
use crate::broker::scaled;

#[test]
fn an_idle_queue_takes_at_most_2_kib() {
    let folder = Folder::new();
    let broker = folder.open();
    let queues = scaled(10_000);
    let before = allocated();
    let start = Instant::now();
    let mut lsn = None;
    for n in 0..queues {
        lsn = broker.declare(&format!("queue-{n}"), || {
            let mut settings = QueueSettings::new(true);
            settings.vocabulary.insert(
                "amqp091",
                &serde_json::json!({"durable": true, "arguments": []}),
            );
            settings
        });
    }
    broker.wait(lsn);
    println!(
        "declared {:?}, {} B each",
        start.elapsed(),
        (allocated() - before) / u64::from(queues)
    );
    let start = Instant::now();
    broker.core.checkpoint().unwrap();
    println!(
        "checkpoint {:?}, {} B each",
        start.elapsed(),
        (allocated() - before) / u64::from(queues)
    );
    broker.close();
    let start = Instant::now();
    let before = allocated();
    let broker = folder.open();
    println!(
        "restart {:?}, {} B each",
        start.elapsed(),
        (allocated() - before) / u64::from(queues)
    );
    drop(broker);
}
