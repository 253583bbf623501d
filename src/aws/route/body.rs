//! Reading a body: how much memory, how long.
//!
//! Nobody is verified before the body is there, so a length that is only promised costs nothing: the
//! memory is taken as bytes arrive.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::wire::AwsError;
use crate::aws::wire::error;

/// A body that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(60);
/// In each such time a body must grow by [`PROGRESS_BYTES`] or end.
const PROGRESS: Duration = Duration::from_secs(10);
const PROGRESS_BYTES: usize = 16 * 1024;
/// How long a body waits for memory. It holds some while it waits, so bodies could wait for each
/// other for ever.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bodies of up to so much are read without a share of the memory for all, and larger ones take it in
/// steps of so much: nearly every request passes whatever large ones do.
const STEP_BYTES: usize = 64 * 1024;
const STEP_KIB: u32 = 64;

/// A body, and its share of the memory for bodies.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) body: Bytes,
    /// To be held as long as anything made from the body lives.
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Reads a body of up to `limit` bytes.
///
/// # Errors
/// `RequestEntityTooLarge`; `MalformedInput` when it breaks off or crawls; `ServiceUnavailable` when
/// there is no memory for it or the broker stops.
pub(super) async fn receive<B>(
    mut body: B,
    limit: u64,
    memory: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Result<Received, AwsError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    if body.size_hint().lower() > limit {
        return Err(too_large(limit));
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let end = Instant::now() + TIMEOUT;
    let mut window = Window::new();
    let mut whole = BytesMut::new();
    let mut share = Share::new(memory);
    loop {
        // Every branch may be dropped: a frame is taken in one poll.
        let frame = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(unavailable("The broker is shutting down.")),
            frame = tokio::time::timeout_at(end.min(window.end), body.frame()) => frame,
        };
        let frame = match frame {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(broken(format!("could not be read: {error}"))),
            Err(_) => return Err(broken("took too long".to_owned())),
        };
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = whole.len().saturating_add(data.len());
        if length > most {
            return Err(too_large(limit));
        }
        let waited = Instant::now();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(unavailable("The broker is shutting down.")),
            grown = share.cover(length) => grown?,
        }
        // The sender is not to blame for a wait for memory.
        window.end += waited.elapsed();
        whole.extend_from_slice(&data);
        window.moved(length);
    }
    Ok(Received {
        body: whole.freeze(),
        memory: share.held,
    })
}

/// Since when, and from which length, a body must have grown.
struct Window {
    end: Instant,
    length: usize,
}

impl Window {
    fn new() -> Self {
        Self {
            end: Instant::now() + PROGRESS,
            length: PROGRESS_BYTES,
        }
    }

    fn moved(&mut self, length: usize) {
        if length >= self.length {
            self.end = Instant::now() + PROGRESS;
            self.length = length.saturating_add(PROGRESS_BYTES);
        }
    }
}

/// What a body has of the memory for all bodies.
struct Share<'a> {
    memory: &'a Arc<Semaphore>,
    covered: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl<'a> Share<'a> {
    fn new(memory: &'a Arc<Semaphore>) -> Self {
        Self {
            memory,
            covered: STEP_BYTES,
            held: None,
        }
    }

    async fn cover(&mut self, length: usize) -> Result<(), AwsError> {
        while self.covered < length {
            let step = Arc::clone(self.memory).acquire_many_owned(STEP_KIB);
            let step = match tokio::time::timeout(MEMORY_TIMEOUT, step).await {
                Ok(Ok(step)) => step,
                Ok(Err(_)) | Err(_) => {
                    return Err(unavailable(
                        "The broker reads too many large requests; try again.",
                    ));
                }
            };
            match &mut self.held {
                Some(held) => held.merge(step),
                None => self.held = Some(step),
            }
            self.covered = self.covered.saturating_add(STEP_BYTES);
        }
        Ok(())
    }
}

fn too_large(limit: u64) -> AwsError {
    AwsError::new(
        &error::REQUEST_TOO_LARGE,
        format!("The request must be shorter than {limit} bytes."),
    )
}

fn unavailable(text: &'static str) -> AwsError {
    AwsError::new(&error::SERVICE_UNAVAILABLE, text)
}

fn broken(what: String) -> AwsError {
    AwsError::new(&error::SERIALIZATION, format!("The request body {what}."))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::Context;
    use std::task::Poll;

    use http_body_util::Full;
    use hyper::body::Frame;
    use tokio::sync::mpsc;

    use super::*;

    /// A body whose bytes come when somebody sends them.
    struct Fed(mpsc::Receiver<Bytes>);

    impl Body for Fed {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0
                .poll_recv(cx)
                .map(|data| data.map(Frame::data).map(Ok))
        }
    }

    const LIMIT: u64 = 1024 * 1024;

    fn large() -> Full<Bytes> {
        Full::new(Bytes::from(vec![b'x'; 200 * 1024]))
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_pass_when_no_memory_is_left_and_large_ones_are_put_off() {
        let (memory, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
        let small = Full::new(Bytes::from_static(b"x"));
        let small = receive(small, LIMIT, &memory, &stop).await.unwrap();
        assert!(small.memory.is_none());
        let refused = receive(large(), LIMIT, &memory, &stop).await.unwrap_err();
        assert_eq!(refused.kind, &error::SERVICE_UNAVAILABLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_holds_its_memory_as_long_as_it_is_needed() {
        let (memory, stop) = (Arc::new(Semaphore::new(256)), CancellationToken::new());
        let received = receive(large(), LIMIT, &memory, &stop).await.unwrap();
        assert_eq!(received.body.len(), 200 * 1024);
        assert_eq!(memory.available_permits(), 256 - 192);
        drop(received);
        assert_eq!(memory.available_permits(), 256);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_crawls_is_given_up_and_one_that_grows_is_not() {
        let (memory, stop) = (Arc::new(Semaphore::new(1024)), CancellationToken::new());
        for (bytes, is_read) in [(1, false), (32 * 1024, true)] {
            let (feed, body) = mpsc::channel(4);
            let feeding = async move {
                for _ in 0..4 {
                    // The other side may have given up.
                    let _ = feed.send(Bytes::from(vec![b'x'; bytes])).await;
                    tokio::time::sleep(Duration::from_secs(4)).await;
                }
            };
            let reading = receive(Fed(body), LIMIT, &memory, &stop);
            let (read, ()) = tokio::join!(reading, feeding);
            assert_eq!(read.is_ok(), is_read, "{bytes} bytes at a time");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_for_a_body() {
        let (memory, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
        let (_feed, body) = mpsc::channel(1);
        let before = Instant::now();
        stop.cancel();
        let read = receive(Fed(body), LIMIT, &memory, &stop).await;
        assert_eq!(read.unwrap_err().kind, &error::SERVICE_UNAVAILABLE);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
