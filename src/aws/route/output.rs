//! A connection whose peer must take what is written.
//!
//! Answers lie in memory until the peer reads them. One that does not is cut off, or a few bytes of
//! request would keep megabytes of answer.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// A peer that takes no byte for so long is cut off.
const STUCK: Duration = Duration::from_secs(10);
/// The same once the broker stops.
const STUCK_AT_STOP: Duration = Duration::from_secs(1);

/// A stream whose writes fail when they make no progress.
pub(super) struct Output<I> {
    io: I,
    /// Runs while a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    is_stopping: bool,
}

impl<I> Output<I> {
    pub(super) fn new(io: I, stop: CancellationToken) -> Self {
        Self {
            io,
            stuck: None,
            stop: Box::pin(stop.cancelled_owned()),
            is_stopping: false,
        }
    }

    /// Passes a write's result on, unless it has waited too long.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stuck = None;
            return result;
        }
        let limit = if self.is_stopping {
            STUCK_AT_STOP
        } else {
            STUCK
        };
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        // It is not polled again once it has ended.
        if !self.is_stopping && self.stop.as_mut().poll(cx).is_ready() {
            self.is_stopping = true;
            let soon = Instant::now() + STUCK_AT_STOP;
            if soon < stuck.deadline() {
                stuck.as_mut().reset(soon);
            }
        }
        match stuck.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer does not read",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Output<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Output<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        this.judge(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.judge(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_flush(cx);
        this.judge(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_shutdown(cx);
        this.judge(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails_after_ten_seconds() {
        let (_peer, io) = tokio::io::duplex(4);
        let mut output = Output::new(io, CancellationToken::new());
        let before = Instant::now();
        let error = output.write_all(b"12345678").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_may_take_as_long_as_it_likes() {
        let (mut peer, io) = tokio::io::duplex(4);
        let mut output = Output::new(io, CancellationToken::new());
        let reading = async {
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                peer.read_exact(&mut [0; 4]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(output.write_all(&[0; 32]), reading);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_stop_a_stuck_write_has_one_more_second() {
        let (_peer, io) = tokio::io::duplex(4);
        let stop = CancellationToken::new();
        let mut output = Output::new(io, stop.clone());
        let before = Instant::now();
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stop.cancel();
        };
        let (written, ()) = tokio::join!(output.write_all(b"12345678"), stopping);
        assert!(written.is_err());
        assert_eq!(before.elapsed().as_secs(), 4);
    }
}
