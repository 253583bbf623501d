//! `viaduct bench`: sends load to a broker, any broker, and measures what it does.
//!
//! ```text
//! amqp, nats, sqs a protocol each: a Peer, whose producers and consumers are one task a connection
//! run             threads, phases, drain                     (shared: what all tasks see)
//! producer        a producer's loop over its book and its block  (sending, template, wire)
//! sending         a producer's book: pace, gate, confirms    (pace, timer, gate, unconfirmed, label, sent)
//! receiving       a consumer's book                          (seen, settled, recorder)
//! report, text    what came out                              (process, progress)
//! limits          what the machine can do at most
//! ```
//!
//! It must not be the limit itself: the clock is read once a batch that is sent or received and once a
//! confirm, which may be of many messages; counters are added to once a batch, a producer's block is made
//! once and only labels change in it, and nothing waits for a timer of a millisecond.

mod amqp;
mod args;
mod blocked;
mod clock;
mod gate;
mod label;
mod limits;
mod nats;
mod output;
mod pace;
mod peer;
mod process;
mod producer;
mod progress;
mod receiving;
mod recorder;
mod report;
mod run;
mod seen;
mod sending;
mod sent;
mod settled;
mod shared;
mod sqs;
mod template;
mod text;
mod timer;
mod unconfirmed;
mod url;
mod wire;

use std::sync::Arc;

use super::Exit;
use super::Failure;
use super::Outcome;
use super::block_on;

pub(super) use args::BenchCommand;
use args::Load;
use peer::Peer;
use report::Report;
use shared::Shared;

/// Runs the generator.
pub(super) fn bench(command: BenchCommand) -> Outcome {
    match command {
        BenchCommand::Amqp { url, load } => {
            let peer = amqp::Amqp::new(&url, &load).map_err(usage)?;
            measure(peer, load)
        }
        BenchCommand::Sqs { url, mut load, sqs } => {
            let peer = sqs::Sqs::new(&url, &mut load, &sqs).map_err(usage)?;
            measure(peer, load)
        }
        BenchCommand::Nats { url, load } => {
            let peer = nats::Nats::new(&url, &load).map_err(usage)?;
            measure(peer, load)
        }
        BenchCommand::Limits(args) => {
            limits::limits(&args).map_err(failed)?;
            Ok(Exit::Clean)
        }
    }
}

/// Makes a run and tells what came out.
fn measure<P: Peer>(peer: P, load: Load) -> Outcome {
    let json = load.json.clone();
    let shared = Arc::new(Shared::new(load).map_err(failed)?);
    let (measured, cleaned) = block_on(run::run(peer, &shared))?.map_err(failed)?;
    let report = Report::new(&shared, measured).map_err(failed)?;
    output::write(&text::table(&report), &report, json.as_deref()).map_err(failed)?;
    // Only now: a queue that stays behind must not take what was measured with it.
    cleaned.map_err(failed)?;
    Ok(if report.is_clean() {
        Exit::Clean
    } else {
        Exit::Failed
    })
}

fn usage(error: anyhow::Error) -> Failure {
    Failure::new(Exit::Usage, error)
}

/// A failure with its causes in one line.
fn failed(error: anyhow::Error) -> Failure {
    Failure::new(Exit::Failed, anyhow::anyhow!("{error:#}"))
}
