//! A connection's bytes: one buffer for what comes in, whole writes for what goes out.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// Bytes that one read asks for, and that a write of many messages is filled to. Half or twice as
/// much costs a tenth of the throughput: the buffer no longer fits the cache together with the socket's.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

/// Longest wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// A TCP connection with its read buffer.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    from: usize,
    to: usize,
}

impl Wire {
    /// Connects; the largest unit that must be whole in the buffer is `unit` bytes.
    ///
    /// # Errors
    /// Nobody listens, or doesn't answer in time.
    pub(super) async fn connect(host: &str, port: u16, unit: usize) -> anyhow::Result<Self> {
        let connecting = TcpStream::connect((host, port));
        let stream = tokio::time::timeout(CONNECT_PATIENCE, connecting)
            .await
            .unwrap_or_else(|late| Err(late.into()))
            .with_context(|| format!("cannot connect to {host}:{port}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: vec![0; unit + BLOCK_BYTES],
            from: 0,
            to: 0,
        })
    }

    /// What was read and not consumed.
    pub(super) fn input(&self) -> &[u8] {
        self.input.get(self.from..self.to).unwrap_or_default()
    }

    /// Consumes bytes of the input.
    pub(super) fn consume(&mut self, count: usize) {
        self.from = (self.from + count).min(self.to);
        if self.from == self.to {
            self.from = 0;
            self.to = 0;
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection failed or ended, or its input was not consumed and fills the buffer.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.input.len() - self.to < BLOCK_BYTES {
            self.input.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        let end = self.input.len().min(self.to + BLOCK_BYTES);
        let Some(room) = self
            .input
            .get_mut(self.to..end)
            .filter(|room| !room.is_empty())
        else {
            return Poll::Ready(Err(io::Error::other("the peer sends something too large")));
        };
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let count = buffer.filled().len();
        if count == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the broker closed the connection",
            )));
        }
        self.to += count;
        Poll::Ready(Ok(()))
    }

    /// As [`poll_fill`](Self::poll_fill).
    ///
    /// # Cancel safety
    /// Safe: nothing is read that is not in the buffer.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Writes once; how many bytes went.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Writes everything.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }
}

/// What is still to be written of a buffer that is kept elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    from: usize,
    to: usize,
}

impl Pending {
    /// These bytes.
    pub(super) fn of(range: Range<usize>) -> Self {
        Self {
            from: range.start,
            to: range.end,
        }
    }

    /// How many bytes.
    pub(super) fn len(&self) -> usize {
        self.to - self.from
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes until nothing is left or the socket is full.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) fn poll_flush(
        &mut self,
        buffer: &[u8],
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let rest = buffer.get(self.from..self.to).unwrap_or_default();
            match ready!(wire.poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.from += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}
