//! One run: connections on their threads, and the phases that they go through.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use tokio::task::JoinSet;

use super::args::Load;
use super::clock::nanos;
use super::peer::Identity;
use super::peer::Peer;
use super::process;
use super::process::Usage;
use super::progress::Progress;
use super::receiving::Received;
use super::sent::Sent;
use super::shared::Phases;
use super::shared::Shared;

/// Longest wait until all connections are ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// The drain ends when nothing has arrived for so long.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// The drain ends after so long in any case.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
/// Time for connections to say goodbye.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(3);
/// How often the coordinator looks up; it has a thread of its own, but few cores are shared by all.
const TICK: Duration = Duration::from_millis(20);

/// What the connections of a run bring home.
#[derive(Debug)]
enum Part {
    Sent(Sent),
    Received(Received),
}

/// Counters and usages at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) at: u64,
    pub(super) sent: u64,
    pub(super) confirmed: u64,
    pub(super) received: u64,
    pub(super) own: Usage,
    pub(super) broker: Usage,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Everything that was sent is confirmed, and received or refused.
    Drained,
    /// The broker took and confirmed everything, and for a long time nothing came: what is missing will not come.
    Silent,
    /// Something is still under way, as far as anybody can tell.
    GivenUp,
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) identity: Identity,
    pub(super) from: Sample,
    pub(super) to: Sample,
    pub(super) sent: Vec<Sent>,
    pub(super) received: Vec<Received>,
    pub(super) end: End,
}

/// Makes a run; what was measured, and whether the broker was left as it was found.
///
/// # Errors
/// A connection failed, or the broker did not do its part.
pub(super) async fn run<P: Peer>(
    peer: P,
    shared: &Arc<Shared>,
) -> anyhow::Result<(Measured, anyhow::Result<()>)> {
    let peer = Arc::new(peer);
    let load = &shared.load;
    // Before anything is made at the broker.
    sample(shared)?;
    let (identity, control) = peer.prepare(shared).await?;
    let threads = spawn(&peer, shared)?;
    let conducted = conduct(shared, load).await;
    shared.stop.cancel();
    let parts = join(threads);
    // The failure of a connection says more than that of the coordinator, which only misses it.
    let outcome = match shared.failure() {
        Some(failure) => Err(failure),
        None => conducted.and_then(|conducted| Ok((conducted, parts?))),
    };
    let cleaned = peer.clean_up(shared, control).await;
    let ((from, to, mut end), parts) = outcome?;
    if cleaned.is_err() && end == End::Silent {
        // It was silent because it does not answer at all.
        end = End::GivenUp;
    }
    let mut measured = Measured {
        name: P::NAME,
        identity,
        from,
        to,
        sent: Vec::new(),
        received: Vec::new(),
        end,
    };
    for part in parts {
        match part {
            Part::Sent(sent) => measured.sent.push(sent),
            Part::Received(received) => measured.received.push(received),
        }
    }
    Ok((measured, cleaned.context("cannot clean up")))
}

type Worker = JoinHandle<anyhow::Result<Vec<Part>>>;

/// Starts the threads. Each has a runtime of its own that runs on it alone: producers and consumers
/// that share a thread wake each other without a system call.
fn spawn<P: Peer>(peer: &Arc<P>, shared: &Arc<Shared>) -> anyhow::Result<Vec<Worker>> {
    let threads = usize::try_from(shared.load.threads)?;
    (0..threads)
        .map(|thread| {
            let peer = Arc::clone(peer);
            let shared = Arc::clone(shared);
            let worker = std::thread::Builder::new().name(format!("bench-{thread}"));
            worker
                .spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?;
                    let parts = runtime.block_on(work(peer, &shared, thread, threads));
                    // An address that is still looked up must not hold the end.
                    runtime.shutdown_background();
                    parts
                })
                .context("cannot start a thread")
        })
        .collect()
}

/// Runs the connections of one thread.
async fn work<P: Peer>(
    peer: Arc<P>,
    shared: &Arc<Shared>,
    thread: usize,
    threads: usize,
) -> anyhow::Result<Vec<Part>> {
    let mut tasks = JoinSet::new();
    for consumer in (thread..usize::try_from(shared.load.consumers)?).step_by(threads) {
        let task = Arc::clone(&peer).consume(consumer, Arc::clone(shared));
        tasks.spawn(async move { task.await.map(Part::Received) });
    }
    for producer in (thread..usize::try_from(shared.load.producers)?).step_by(threads) {
        let task = Arc::clone(&peer).produce(producer, Arc::clone(shared));
        tasks.spawn(async move { task.await.map(Part::Sent) });
    }
    let mut parts = Vec::new();
    let late = async {
        shared.stop.cancelled().await;
        tokio::time::sleep(GOODBYE_PATIENCE).await;
    };
    tokio::pin!(late);
    loop {
        let ended = tokio::select! {
            biased;
            ended = tasks.join_next() => ended,
            () = &mut late => {
                shared.fail(anyhow!("a connection did not end when it was told to"));
                break;
            }
        };
        match ended {
            None => break,
            Some(Ok(Ok(part))) => parts.push(part),
            Some(Ok(Err(error))) => shared.fail(error),
            Some(Err(error)) => shared.fail(error.into()),
        }
    }
    Ok(parts)
}

fn join(threads: Vec<Worker>) -> anyhow::Result<Vec<Part>> {
    let mut all = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(parts) => all.extend(parts?),
            Err(_) => bail!("a thread of the generator panicked"),
        }
    }
    Ok(all)
}

/// Leads all connections through the phases; the samples at both ends of the measure, and how the drain
/// ended.
async fn conduct(shared: &Shared, load: &Load) -> anyhow::Result<(Sample, Sample, End)> {
    let mut progress = Progress::new(load);
    let connections = usize::try_from(load.producers + load.consumers)?;
    let deadline = shared.clock.now() + nanos(READY_PATIENCE);
    while shared.ready() < connections {
        tick(shared).await?;
        if shared.clock.now() > deadline {
            bail!(
                "{} of {connections} connections are not ready after {} s",
                connections - shared.ready(),
                READY_PATIENCE.as_secs()
            );
        }
    }
    let start = shared.clock.now();
    let measure_from = start + nanos(load.warmup());
    let phases = Phases {
        start,
        measure_from,
        end: measure_from + nanos(load.duration()),
    };
    shared.begin(phases);
    until(shared, measure_from, &mut progress).await?;
    let from = sample(shared)?;
    until(shared, phases.end, &mut progress).await?;
    let to = sample(shared)?;
    shared.gate.wake_all();
    let end = drain(shared, &mut progress).await?;
    Ok((from, to, end))
}

/// One look-up, or the reason why there will be no more.
async fn tick(shared: &Shared) -> anyhow::Result<()> {
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => bail!("the run was stopped"),
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            bail!("interrupted");
        }
        () = tokio::time::sleep(TICK) => Ok(()),
    }
}

/// Waits for a time.
async fn until(shared: &Shared, at: u64, progress: &mut Progress) -> anyhow::Result<()> {
    let end = tokio::time::Instant::from_std(shared.clock.instant(at));
    while shared.clock.now().saturating_add(nanos(TICK)) < at {
        tick(shared).await?;
        progress.show(shared);
    }
    tokio::time::sleep_until(end).await;
    Ok(())
}

/// Waits until everything that was sent is confirmed and received, or there is no hope.
async fn drain(shared: &Shared, progress: &mut Progress) -> anyhow::Result<End> {
    let begin = shared.clock.now();
    let mut last = (0, begin);
    loop {
        if shared.is_drained() {
            return Ok(End::Drained);
        }
        let now = shared.clock.now();
        let done = shared.counters.settled.load(Relaxed) + shared.counters.confirmed.load(Relaxed);
        if done != last.0 {
            last = (done, now);
        }
        if now - last.1 > nanos(DRAIN_PATIENCE) {
            let is_over = shared.producers_are_done() && !shared.blocked.is_now();
            return Ok(if is_over { End::Silent } else { End::GivenUp });
        }
        if now - begin > nanos(DRAIN_LIMIT) {
            return Ok(End::GivenUp);
        }
        tick(shared).await?;
        progress.show(shared);
    }
}

/// Reads all counters.
fn sample(shared: &Shared) -> anyhow::Result<Sample> {
    let broker = match shared.load.pid {
        Some(pid) => process::usage(&pid.to_string()).context("--pid")?,
        None => Usage::default(),
    };
    Ok(Sample {
        at: shared.clock.now(),
        sent: shared.counters.sent.load(Relaxed),
        confirmed: shared.counters.confirmed.load(Relaxed),
        received: shared.counters.received.load(Relaxed),
        // Its own costs are a figure of the report; where there is no /proc they are 0.
        own: process::usage("self").unwrap_or_default(),
        broker,
    })
}
