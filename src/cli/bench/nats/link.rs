//! A client's connection: login, lines, and the server's pings.

use std::io;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::bail;
use serde_json::Value;
use serde_json::json;

use crate::cli::bench::peer::Identity;
use crate::cli::bench::producer::Line;
use crate::cli::bench::sending::Sending;
use crate::cli::bench::url::Url;
use crate::cli::bench::wire::Pending;
use crate::cli::bench::wire::Wire;

/// Longest line of the server's, in bytes: INFO names every server of a cluster.
const MAX_LINE_BYTES: usize = 256 * 1024;

/// Longest wait for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

const PONG: &[u8] = b"PONG\r\n";

/// An open connection.
pub(super) struct Link {
    wire: Wire,
    identity: Identity,
    /// What is owed for the server's pings.
    pongs: u32,
    pong: Pending,
}

impl Link {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Nobody listens, the login is refused, or what answers is no NATS.
    pub(super) async fn open(url: &Url) -> anyhow::Result<Self> {
        let mut link = Self {
            wire: Wire::connect(&url.host, url.port, MAX_LINE_BYTES).await?,
            identity: Identity::default(),
            pongs: 0,
            pong: Pending::default(),
        };
        let info = link.line().await.context("no NATS server")?;
        let info: Value = match info.strip_prefix("INFO ") {
            Some(info) => serde_json::from_str(info).context("no NATS server")?,
            None => bail!("no NATS server: it began with '{}'", info.escape_debug()),
        };
        link.identity = Identity {
            product: "nats-server".to_owned(),
            version: info
                .get("version")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        };
        let connect = json!({
            "verbose": false,
            "pedantic": false,
            "name": "viaduct bench",
            "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"),
            "user": url.user,
            "pass": url.password,
        });
        link.ask(&format!("CONNECT {connect}\r\n"))
            .await
            .context("login")?;
        Ok(link)
    }

    /// Who serves.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The bytes, for who reads them itself.
    pub(super) fn bytes(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends lines and waits until the server has dealt with them.
    ///
    /// # Errors
    /// It refused.
    pub(super) async fn ask(&mut self, lines: &str) -> anyhow::Result<()> {
        self.wire.write(lines.as_bytes()).await?;
        self.wire.write(b"PING\r\n").await?;
        loop {
            let line = self.line().await?;
            if line == "PONG" {
                return Ok(());
            }
            self.on_line(line.as_bytes())?;
            self.pay().await?;
        }
    }

    /// Answers the pings that are owed.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) async fn pay(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_between(cx)).await
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let reading = async {
            loop {
                let input = self.wire.input();
                if let Some(end) = memchr::memchr(b'\n', input) {
                    let line = input.get(..end).unwrap_or_default().trim_ascii_end();
                    let line = String::from_utf8_lossy(line).into_owned();
                    self.wire.consume(end + 1);
                    return anyhow::Ok(line);
                }
                self.wire.fill().await?;
            }
        };
        match tokio::time::timeout(ANSWER_PATIENCE, reading).await {
            Ok(line) => line,
            Err(_) => bail!("no answer in {} s", ANSWER_PATIENCE.as_secs()),
        }
    }

    /// Judges a line that is no message.
    ///
    /// # Errors
    /// The server refused something, or said what nobody understands.
    pub(super) fn on_line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let line = line.trim_ascii_end();
        if line == b"PING" {
            self.pongs += 1;
        } else if let Some(why) = line.strip_prefix(b"-ERR") {
            bail!(
                "the server refused: {}",
                String::from_utf8_lossy(why).trim().trim_matches('\'')
            );
        } else if line != b"PONG" && line != b"+OK" && !line.starts_with(b"INFO ") {
            bail!("unexpected '{}'", line.escape_ascii());
        }
        Ok(())
    }
}

impl Line for Link {
    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn poll_read(
        &mut self,
        _sending: Option<&mut Sending>,
        cx: &mut Context<'_>,
    ) -> Poll<anyhow::Result<()>> {
        std::task::ready!(self.wire.poll_fill(cx))?;
        while let Some(end) = memchr::memchr(b'\n', self.wire.input()) {
            let line = self.wire.input().get(..end).unwrap_or_default().to_vec();
            self.wire.consume(end + 1);
            self.on_line(&line)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_between(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.pongs > 0 {
            if self.pong.is_empty() {
                self.pong = Pending::of(0..PONG.len());
            }
            std::task::ready!(self.pong.poll_flush(PONG, &mut self.wire, cx))?;
            self.pongs -= 1;
        }
        Poll::Ready(Ok(()))
    }
}
