//! What can be written behind `viaduct bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

/// Most bytes of a message: what RabbitMQ accepts by default.
const MAX_SIZE: u64 = 128 << 20;

/// Most producers: their number has twelve bits in a message's label.
const MAX_PRODUCERS: u64 = 4096;

/// What is told below the flags.
const COUNTING: &str = "\
How it counts:
  Every message carries its producer, number and sending time. Rates, latencies and CPU times are of the
  measured seconds; lost, duplicated, reordered and redelivered messages of the whole run, after waiting
  until everything has arrived, or nothing has for 5 seconds, or 120 seconds are over. What had not arrived
  then is lost where the broker had taken and confirmed everything and answers, else missing. Reordered is
  what a consumer gets of one queue after a later message of the same producer; redelivered is what the
  broker announces as that. Unsent is what --rate asked for and could not be sent until 2 seconds after the
  end: it is in the latencies as what it is at least.
  A broker's CPU time a message is per received message (per sent one without consumers). Its peak memory is
  since its process began, not of the run.
  With automatic acks some brokers confirm a durable message that was consumed before it is on disk: measure
  durable confirms with --prefetch, or with --consumers 0.

Exit code: 0 when everything was sent, confirmed and received in time, and nothing lost, duplicated or
refused; 1 when not, or when the run failed or its queues could not be deleted.

Examples:
  viaduct bench amqp --durable --confirm-window 1000 --prefetch 1000
  viaduct bench amqp amqp://user:secret@broker:5672/vhost --rate 2000 --pid $(pidof beam.smp)
  viaduct bench amqp --producers 4 --consumers 4 --size 16 --in-flight 20000 --json report.json";

/// The loads and measures.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BenchCommand {
    /// Publishes and consumes over AMQP 0-9-1, one connection a producer or consumer
    #[command(after_help = COUNTING)]
    Amqp {
        /// The broker, as amqp://USER:PASSWORD@HOST:PORT/VHOST
        #[arg(default_value = "amqp://guest:guest@127.0.0.1:5672/")]
        url: String,
        #[command(flatten)]
        load: Load,
    },
    /// Sends, receives and deletes over SQS: HTTP/1.1, AWS JSON, signed. Key and region come from AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY and AWS_REGION; without them they are test, test and us-east-1
    Sqs {
        /// The endpoint, as http://HOST:PORT or http://KEY:SECRET@HOST:PORT
        #[arg(default_value = "http://127.0.0.1:4566")]
        url: String,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        sqs: SqsArgs,
    },
    /// Publishes and subscribes over core NATS, which keeps and confirms nothing; queues are subjects
    Nats {
        /// The server, as nats://USER:PASSWORD@HOST:PORT
        #[arg(default_value = "nats://127.0.0.1:4222")]
        url: String,
        #[command(flatten)]
        load: Load,
    },
    /// Measures what the machine can do at most: a TCP sink, ping-pong, appends with fdatasync
    Limits(LimitsArgs),
}

/// The flags that all protocols share; also what the report repeats as `settings`.
#[derive(Clone, Debug, clap::Args, Serialize)]
#[command(next_help_heading = "Load and measure")]
pub(in crate::cli) struct Load {
    /// Connections that send
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_PRODUCERS))]
    pub(super) producers: u64,
    /// Connections that receive; with 0 nothing is received, and --in-flight doesn't hold
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=4096))]
    pub(super) consumers: u64,
    /// Queues that producers and consumers are spread over
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) queues: u64,
    /// Bytes of a message's body; the first 16 are its label
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..=MAX_SIZE))]
    pub(super) size: u64,
    /// Durable queues and persistent messages
    #[arg(long)]
    pub(super) durable: bool,
    /// Confirms, and at most N unconfirmed messages a producer; 0: no confirms
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) confirm_window: u64,
    /// Most messages sent and not yet received, over the whole run; 0: no cap
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(super) in_flight: u64,
    /// Messages a second over all producers, evenly paced; 0: as fast as possible.
    /// Latency counts from the moment at which a message should have been sent
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    pub(super) rate: u64,
    /// Messages a write; 0: as many as fit 64 KiB, 1: one write a message, as clients do that don't coalesce
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) flush: u64,
    /// Manual acks with this prefetch, one ack a read; 0: automatic acks
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=65_535))]
    pub(super) prefetch: u64,
    /// Seconds that are measured
    #[arg(long, value_name = "SECS", default_value_t = 5.0, value_parser = seconds)]
    pub(super) duration: f64,
    /// Seconds of load before them that are not measured
    #[arg(long, value_name = "SECS", default_value_t = 1.0, value_parser = seconds)]
    pub(super) warmup: f64,
    /// The broker's process: its CPU time, and its peak memory since it began, are read from /proc
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// Writes the report as JSON, too; - is standard output, and the text then goes to standard error
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) json: Option<PathBuf>,
    /// Threads that the connections are spread over; more than 1 pays on machines with many cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub(super) threads: u64,
    /// No live progress line on the terminal
    #[arg(long)]
    #[serde(skip)]
    pub(super) no_progress: bool,
    /// Begins the queues' names; they must be empty and are kept. Default: a random name, deleted at the end
    #[arg(long, value_name = "NAME")]
    pub(super) queue: Option<String>,
    /// Messages a call, where the protocol has calls.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch: Option<u64>,
}

/// The flags of `viaduct bench sqs` beside those of [`Load`].
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct SqsArgs {
    /// Messages of a SendMessageBatch, or as many as are due or allowed, if that is fewer
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10))]
    pub(super) batch: u64,
    /// Measures how long a waiting ReceiveMessage takes to wake up: one message at a time, sent when the consumer waits;
    /// end to end is then from the send to the answer
    #[arg(long)]
    pub(super) long_poll: bool,
}

impl Load {
    /// The measured time.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration)
    }

    /// The time before it.
    pub(super) fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }

    /// Whether producers wait for confirms.
    pub(super) fn confirms(&self) -> bool {
        self.confirm_window > 0
    }
}

/// The flags of `viaduct bench limits`.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct LimitsArgs {
    /// Folder for the file that is appended to; best on the disk of the broker's data dir
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(super) dir: PathBuf,
    /// Bytes of a message or record
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..=(1 << 20)))]
    pub(super) size: u64,
    /// Records that share a write and an fdatasync; one measure for each
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 10, 100, 1000], value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) batch: Vec<u64>,
    /// Writes the report as JSON, too; - is standard output, and the text then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// Reads a time in seconds: up to a day.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err("expected seconds between 0 and 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_numbers_of_a_day() {
        assert_eq!(seconds("0.25"), Ok(0.25));
        for wrong in ["", "x", "-1", "NaN", "inf", "86401"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
