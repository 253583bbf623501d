//! A client's connection with its channel 1: login, questions and answers, the end.

use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::anyhow;
use anyhow::bail;

use crate::cli::bench::blocked::Blocked;
use crate::cli::bench::peer::Identity;
use crate::cli::bench::url::Url;
use crate::cli::bench::wire::Wire;
use crate::protocols::amqp091::codec::FieldTable;
use crate::protocols::amqp091::codec::FieldValue;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::LongStr;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::PROTOCOL_HEADER;
use crate::protocols::amqp091::codec::RawFrame;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::MethodFrame;
use crate::protocols::amqp091::codec::method::channel::ChannelMethod;
use crate::protocols::amqp091::codec::method::channel::Open as ChannelOpen;
use crate::protocols::amqp091::codec::method::connection::Close;
use crate::protocols::amqp091::codec::method::connection::ConnectionMethod;
use crate::protocols::amqp091::codec::method::connection::Open;
use crate::protocols::amqp091::codec::method::connection::StartOk;
use crate::protocols::amqp091::codec::method::connection::TuneOk;
use crate::protocols::amqp091::codec::next_frame;
use crate::protocols::amqp091::codec::write_method;

use super::reply::Reply;

/// The channel that everything happens on.
pub(super) const CHANNEL: u16 = 1;

/// Largest frame that is agreed to, in bytes: what RabbitMQ proposes.
const FRAME_MAX: u32 = 131_072;

/// Longest wait for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait for the agreement to the end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// An open connection.
pub(in crate::cli::bench) struct Link {
    pub(super) wire: Wire,
    pub(super) frame_max: u32,
    identity: Identity,
    blocked: Blocked,
}

impl Link {
    /// Connects, logs in, opens the virtual host and the channel.
    ///
    /// # Errors
    /// Nobody listens, the login is refused, or what answers is no AMQP 0-9-1.
    pub(super) async fn open(url: &Url, blocked: &Blocked) -> anyhow::Result<Self> {
        let unit = usize::try_from(FRAME_MAX)? * 2;
        let mut link = Self {
            wire: Wire::connect(&url.host, url.port, unit).await?,
            frame_max: FRAME_MAX,
            identity: Identity::default(),
            blocked: blocked.clone(),
        };
        link.wire.write(&PROTOCOL_HEADER).await?;
        link.identity = link
            .answer("connection.start", Reply::identity)
            .await
            .context("no AMQP 0-9-1")?;
        link.log_in(url).await.context("login")?;
        let open = ChannelOpen::default();
        link.ask(&open, "channel.open-ok", Reply::is_channel_open_ok)
            .await?;
        Ok(link)
    }

    /// Who serves.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn log_in(&mut self, url: &Url) -> anyhow::Result<()> {
        let user = url.user.as_deref().unwrap_or("guest");
        let password = url.password.as_deref().unwrap_or("guest");
        let response = format!("\0{user}\0{password}");
        let properties = client_properties()?;
        let start_ok = StartOk {
            client_properties: RawTable::parse(&properties)?,
            mechanism: ShortStr::try_from("PLAIN")?,
            response: LongStr::new(response.as_bytes())?,
            locale: ShortStr::try_from("en_US")?,
        };
        self.send(0, &start_ok).await?;
        let proposed = self
            .answer("connection.tune", Reply::tune)
            .await
            .with_context(|| format!("user {user}"))?;
        if proposed > 0 {
            self.frame_max = proposed.min(FRAME_MAX);
        }
        let tune_ok = TuneOk {
            channel_max: CHANNEL,
            frame_max: self.frame_max,
            // The load itself shows that both are there.
            heartbeat: 0,
        };
        self.send(0, &tune_ok).await?;
        let vhost = url.path.as_deref().unwrap_or("/");
        let open = Open {
            virtual_host: ShortStr::try_from(vhost)?,
            ..Open::default()
        };
        self.send(0, &open).await?;
        self.answer("connection.open-ok", Reply::is_connection_open_ok)
            .await
            .with_context(|| format!("virtual host {vhost}"))
    }

    async fn send(&mut self, channel: u16, method: &impl MethodFrame) -> anyhow::Result<()> {
        let mut out = Vec::new();
        write_method(&mut out, channel, method);
        Ok(self.wire.write(&out).await?)
    }

    /// Sends a method on the channel and waits for its answer.
    ///
    /// # Errors
    /// The broker refused, or said something else.
    pub(super) async fn ask<T>(
        &mut self,
        method: &impl MethodFrame,
        expected: &str,
        read: fn(Method<'_>) -> Option<T>,
    ) -> anyhow::Result<T> {
        self.send(CHANNEL, method).await?;
        let answer = self.answer(expected, read).await;
        answer.with_context(|| method.name().to_owned())
    }

    async fn answer<T>(
        &mut self,
        expected: &str,
        read: fn(Method<'_>) -> Option<T>,
    ) -> anyhow::Result<T> {
        let waiting = tokio::time::timeout(ANSWER_PATIENCE, self.next_method(expected, read));
        match waiting.await {
            Ok(answer) => answer,
            Err(_) => bail!("no {expected} in {} s", ANSWER_PATIENCE.as_secs()),
        }
    }

    async fn next_method<T>(
        &mut self,
        expected: &str,
        read: fn(Method<'_>) -> Option<T>,
    ) -> anyhow::Result<T> {
        loop {
            if let Some(frame) = next_frame(self.wire.input(), self.frame_max)? {
                let length = frame.wire_len();
                note(&frame, &self.blocked)?;
                let answer = judge(&frame, expected, read);
                self.wire.consume(length);
                if let Some(answer) = answer? {
                    return Ok(answer);
                }
            } else {
                self.wire.fill().await?;
            }
        }
    }

    /// Reads once and hands every whole frame to `each`.
    ///
    /// # Errors
    /// The connection failed, or `each` did.
    pub(super) fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        mut each: impl FnMut(&RawFrame<'_>) -> anyhow::Result<()>,
    ) -> Poll<anyhow::Result<()>> {
        std::task::ready!(self.wire.poll_fill(cx))?;
        let mut consumed = 0;
        loop {
            let rest = self.wire.input().get(consumed..).unwrap_or_default();
            let Some(frame) = next_frame(rest, self.frame_max)? else {
                break;
            };
            note(&frame, &self.blocked)?;
            each(&frame)?;
            consumed += frame.wire_len();
        }
        self.wire.consume(consumed);
        Poll::Ready(Ok(()))
    }

    /// Ends the connection. What fails in it is of no interest any more.
    pub(super) async fn close(mut self) {
        let close = Close {
            reply_code: 200,
            reply_text: ShortStr::clipped("the bench is over"),
            ..Close::default()
        };
        let closing = async {
            self.send(0, &close).await?;
            // Whatever is on its way is thrown away until the broker agrees.
            loop {
                match next_frame(self.wire.input(), self.frame_max)? {
                    Some(frame) => {
                        let is_agreed = matches!(
                            decode(&frame),
                            Ok(Some(Method::Connection(ConnectionMethod::CloseOk(_))))
                        );
                        let length = frame.wire_len();
                        self.wire.consume(length);
                        if is_agreed {
                            return anyhow::Ok(());
                        }
                    }
                    None => self.wire.fill().await?,
                }
            }
        };
        let _ = tokio::time::timeout(CLOSE_PATIENCE, closing).await;
    }
}

/// The capabilities decide how a broker says no: with a close that has a reason instead of a cut.
fn client_properties() -> anyhow::Result<Vec<u8>> {
    let capabilities = [
        "authentication_failure_close",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
        "publisher_confirms",
    ];
    let entry = |name: &str, value| (name.as_bytes().into(), value);
    let capabilities = capabilities.map(|name| entry(name, FieldValue::Bool(true)));
    let table = FieldTable(vec![
        entry("product", FieldValue::text("viaduct bench")),
        entry("version", FieldValue::text(env!("CARGO_PKG_VERSION"))),
        entry(
            "capabilities",
            FieldValue::Table(FieldTable(capabilities.into())),
        ),
    ]);
    Ok(table.to_bytes()?)
}

/// Keeps what the broker says of publishers: it says so on channel 0, where nothing else is said in a run.
#[inline]
fn note(frame: &RawFrame<'_>, blocked: &Blocked) -> anyhow::Result<()> {
    if frame.channel != 0 {
        return Ok(());
    }
    match decode(frame)? {
        Some(Method::Connection(ConnectionMethod::Blocked(why))) => {
            blocked.block(why.reason.lossy().into_owned());
        }
        Some(Method::Connection(ConnectionMethod::Unblocked(_))) => blocked.unblock(),
        Some(_) | None => {}
    }
    Ok(())
}

fn decode<'a>(frame: &RawFrame<'a>) -> anyhow::Result<Option<Method<'a>>> {
    if frame.kind != FrameKind::Method {
        return Ok(None);
    }
    Ok(Some(Method::decode(frame.payload)?))
}

/// Reads an expected answer; `None` for a frame that says nothing.
fn judge<T>(
    frame: &RawFrame<'_>,
    expected: &str,
    read: fn(Method<'_>) -> Option<T>,
) -> anyhow::Result<Option<T>> {
    let Some(method) = decode(frame)? else {
        return unasked(frame).map(|()| None);
    };
    match read(method) {
        Some(answer) => Ok(Some(answer)),
        None => {
            unasked(frame).with_context(|| format!("instead of {expected}"))?;
            Ok(None)
        }
    }
}

/// Judges a frame that nobody waits for: some are harmless, a close says why it came.
///
/// # Errors
/// The broker ended something, or said what it must not say now.
pub(super) fn unasked(frame: &RawFrame<'_>) -> anyhow::Result<()> {
    if frame.kind == FrameKind::Heartbeat {
        return Ok(());
    }
    match decode(frame)? {
        Some(Method::Connection(ConnectionMethod::Blocked(_) | ConnectionMethod::Unblocked(_))) => {
            Ok(())
        }
        Some(Method::Connection(ConnectionMethod::Close(close))) => Err(anyhow!(
            "the broker closed the connection: {} {}",
            close.reply_code,
            close.reply_text.lossy()
        )),
        Some(Method::Channel(ChannelMethod::Close(close))) => Err(anyhow!(
            "the broker closed the channel: {} {}",
            close.reply_code,
            close.reply_text.lossy()
        )),
        Some(method) => Err(anyhow!("unexpected {}", method.name())),
        None => Err(anyhow!("unexpected content")),
    }
}
