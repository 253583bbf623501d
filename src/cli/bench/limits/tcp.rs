//! Messages over loopback: one way, and there and back.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::anyhow;
use anyhow::bail;

use crate::cli::bench::clock::Clock;
use crate::cli::bench::clock::nanos;
use crate::cli::bench::recorder::Percentiles;
use crate::cli::bench::recorder::Recorder;
use crate::cli::bench::wire::BLOCK_BYTES;

/// Bytes of a frame's head, which is the length of what follows.
const HEAD_BYTES: usize = 4;

/// Messages a second that one thread sends, so many a write, and another one reads and takes apart.
///
/// # Errors
/// There is no loopback.
pub(super) fn sink(size: usize, messages: usize, measure: Duration) -> anyhow::Result<u64> {
    let (mut sender, receiver) = pair()?;
    let mut frame = u32::try_from(size)?.to_be_bytes().to_vec();
    frame.resize(HEAD_BYTES + size, b'.');
    let block = frame.repeat(messages);
    let clock = Clock::start();
    let reader = std::thread::spawn(move || count(receiver, size));
    while clock.now() < nanos(measure) {
        sender.write_all(&block)?;
    }
    drop(sender);
    let counted = reader
        .join()
        .map_err(|_| anyhow!("the reader panicked"))??;
    Ok(per_second(counted, clock.now()))
}

/// Counts whole frames until the end.
fn count(mut stream: TcpStream, size: usize) -> anyhow::Result<u64> {
    let mut buffer = vec![0; BLOCK_BYTES + HEAD_BYTES + size];
    let (mut from, mut to, mut counted) = (0, 0, 0);
    loop {
        if buffer.len() - to < BLOCK_BYTES {
            buffer.copy_within(from..to, 0);
            to -= from;
            from = 0;
        }
        let room = buffer.get_mut(to..to + BLOCK_BYTES).unwrap_or_default();
        match stream.read(room)? {
            0 => return Ok(counted),
            read => to += read,
        }
        let mut rest = buffer.get(from..to).unwrap_or_default();
        while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let length = usize::try_from(u32::from_be_bytes(*head))?;
            if length != size {
                bail!("a frame came out as {length} bytes");
            }
            let Some(next) = behind.get(length..) else {
                break;
            };
            counted += 1;
            rest = next;
        }
        from = to - rest.len();
    }
}

/// How long a message takes there and back between two threads.
///
/// # Errors
/// There is no loopback.
pub(super) fn ping_pong(size: usize, measure: Duration) -> anyhow::Result<Option<Percentiles>> {
    let (mut near, mut far) = pair()?;
    let echo = std::thread::spawn(move || -> io::Result<()> {
        let mut message = vec![0; size];
        loop {
            match far.read_exact(&mut message) {
                Ok(()) => far.write_all(&message)?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    let mut message = vec![b'.'; size];
    let mut recorder = Recorder::new()?;
    let clock = Clock::start();
    let mut now = clock.now();
    while now < nanos(measure) {
        near.write_all(&message)?;
        near.read_exact(&mut message)?;
        let then = std::mem::replace(&mut now, clock.now());
        recorder.record(now - then);
    }
    drop(near);
    echo.join().map_err(|_| anyhow!("the echo panicked"))??;
    Ok(recorder.percentiles())
}

/// Two ends of a connection over loopback.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Rounded down.
pub(super) fn per_second(count: u64, nanos: u64) -> u64 {
    let per_second = u128::from(count) * 1_000_000_000 / u128::from(nanos.max(1));
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_measures_measure_something() {
        let short = Duration::from_millis(20);
        for (size, messages) in [(16, 64), (1024, 1), (100_000, 3)] {
            assert!(sink(size, messages, short).unwrap() > 0, "{size}");
        }
        let latency = ping_pong(1024, short).unwrap().unwrap();
        assert!(latency.p50 > 0.0 && latency.p50 <= latency.p99);
    }

    #[test]
    fn rates_are_counts_over_time() {
        assert_eq!(per_second(500, 250_000_000), 2000);
        assert_eq!(per_second(1, 0), 1_000_000_000);
    }
}
