//! How many messages share a read, a push, a take, a write, a wake and a frame of the log, when there are enough of them.
//!
//! The clients keep the broker's sockets full: whatever the machine does meanwhile, each read finds 64 KiB. So these are
//! numbers of the structure (measured here: 58 a read, 55 a write), and a channel, a lock or a wake per message makes
//! them 1.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::client::Client;
use crate::client::publishes;

const QUEUE: &str = "orders";
const BODY_BYTES: usize = 1024;
/// Messages of one write: several reads of the broker.
const WRITE_MESSAGES: u64 = 1024;
/// Messages under way before a publisher waits: more than fits into what the broker reads and takes at once.
const WINDOW: u64 = 4 * WRITE_MESSAGES;
/// How long is counted at least, and how many messages.
const COUNTED: Duration = Duration::from_secs(1);
const COUNTED_MESSAGES: u64 = 20_000;
const DEADLINE: Duration = Duration::from_secs(120);

/// What a client does until it is told that enough was counted.
type Run<'a> = Box<dyn FnOnce(&AtomicBool) + Send + 'a>;

/// What is counted, at one moment.
#[derive(Clone, Copy, Debug)]
struct Counts {
    read: (u64, u64),
    push: (u64, u64),
    take: (u64, u64),
    write: (u64, u64),
    wake: (u64, u64),
    frame: (u64, u64),
}

/// Messages by reads, pushes, takes, writes, wakes and frames.
#[derive(Clone, Copy, Debug)]
struct Ratios {
    read: f64,
    push: f64,
    take: f64,
    write: f64,
    wake: f64,
    frame: f64,
}

impl Counts {
    fn of(broker: &Broker) -> Self {
        let metrics = broker.metrics();
        let takes = metrics.take_messages.get();
        Self {
            read: (metrics.read_messages.get(), metrics.reads.get()),
            push: (metrics.push_messages.get(), metrics.pushes.get()),
            take: (takes, metrics.takes.get()),
            write: (metrics.write_messages.get(), metrics.writes.get()),
            wake: (takes, metrics.wakes.get()),
            frame: (metrics.push_messages.get(), metrics.log_frames.get()),
        }
    }

    /// What happened since `before`.
    fn since(self, before: Self) -> Ratios {
        #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
        let ratio = |now: (u64, u64), then: (u64, u64)| {
            (now.0 - then.0) as f64 / (now.1 - then.1).max(1) as f64
        };
        Ratios {
            read: ratio(self.read, before.read),
            push: ratio(self.push, before.push),
            take: ratio(self.take, before.take),
            write: ratio(self.write, before.write),
            wake: ratio(self.wake, before.wake),
            frame: ratio(self.frame, before.frame),
        }
    }
}

/// Runs `clients` until enough was counted, and says what.
fn counted(broker: &Broker, clients: Vec<Run<'_>>) -> Ratios {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in clients {
            let done = &done;
            scope.spawn(move || client(done));
        }
        let pushed = || broker.metrics().push_messages.get();
        // Whatever happens here, the clients must end, or the scope waits for them for ever.
        let ratios = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("the first messages", || pushed() > WINDOW);
            let (start, from, before) = (Instant::now(), pushed(), Counts::of(broker));
            wait_until("enough messages", || {
                start.elapsed() >= COUNTED && pushed() - from >= COUNTED_MESSAGES
            });
            Counts::of(broker).since(before)
        }));
        done.store(true, Ordering::Relaxed);
        ratios.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn messages_share_reads_pushes_takes_writes_and_wakes() {
    let broker = Broker::start();
    let mut publisher = Client::connect(broker.amqp());
    publisher.declare(QUEUE);
    let mut consumer = Client::connect(broker.amqp());
    consumer.consume(QUEUE, true);
    let (sent, received) = (&AtomicU64::new(0), &AtomicU64::new(0));
    let publish = move |done: &AtomicBool| {
        let bytes = publishes(QUEUE, WRITE_MESSAGES, BODY_BYTES, false);
        while !done.load(Ordering::Relaxed) {
            if sent.load(Ordering::Relaxed) > received.load(Ordering::Relaxed) + WINDOW {
                thread::yield_now();
                continue;
            }
            publisher.write(&bytes);
            sent.fetch_add(WRITE_MESSAGES, Ordering::Relaxed);
        }
    };
    let consume = move |done: &AtomicBool| {
        while !done.load(Ordering::Relaxed) {
            if consumer.seen.deliveries < sent.load(Ordering::Relaxed) {
                consumer.read();
                received.store(consumer.seen.deliveries, Ordering::Relaxed);
            } else {
                thread::yield_now();
            }
        }
    };
    let ratios = counted(&broker, vec![Box::new(publish), Box::new(consume)]);
    println!("transient: {ratios:.1?}");
    assert!(ratios.read >= 20.0, "{ratios:?}");
    assert!(ratios.push >= 20.0, "{ratios:?}");
    assert!(ratios.take >= 20.0, "{ratios:?}");
    assert!(ratios.write >= 20.0, "{ratios:?}");
    assert!(ratios.wake >= 20.0, "{ratios:?}");
}

#[test]
fn durable_messages_share_frames() {
    let broker = Broker::start();
    let publisher = |_| -> Run<'_> {
        let mut publisher = Client::connect(broker.amqp());
        publisher.declare(QUEUE);
        publisher.confirm();
        let bytes = publishes(QUEUE, WRITE_MESSAGES, BODY_BYTES, true);
        Box::new(move |done| {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                publisher.write(&bytes);
                sent += WRITE_MESSAGES;
                publisher.read_until(|seen| seen.confirmed + WINDOW >= sent);
            }
        })
    };
    let ratios = counted(&broker, (0..4).map(publisher).collect());
    println!("durable: {ratios:.1?}");
    assert!(ratios.frame >= 50.0, "{ratios:?}");
    assert!(ratios.read >= 20.0, "{ratios:?}");
}
