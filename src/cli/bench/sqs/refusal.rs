//! Calls that an endpoint refuses, and how often one may be refused before a run ends.

use std::time::Duration;

use hyper::StatusCode;

/// Refusals in a row after which a connection gives up.
const MAX_REFUSALS: u32 = 12;
/// Pause behind the first refusal; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
#[error("{operation} was refused with {status}: {text}")]
pub(super) struct Refusal {
    pub(super) operation: &'static str,
    pub(super) status: StatusCode,
    pub(super) text: String,
    /// Whether the same call may be taken later.
    pub(super) is_for_now: bool,
}

/// Whether a refusal is one of load: the server's faults, and what AWS throttles with (a 400 of old).
pub(super) fn is_for_now(status: StatusCode, body: &[u8]) -> bool {
    let says = |word: &str| memchr::memmem::find(body, word.as_bytes()).is_some();
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || ["Throttl", "OverLimit", "TooManyRequests"]
            .into_iter()
            .any(says)
}

/// How often a connection was refused in a row.
#[derive(Debug, Default)]
pub(super) struct Patience(u32);

impl Patience {
    /// A call was carried out.
    pub(super) fn renew(&mut self) {
        self.0 = 0;
    }

    /// Waits before a call after one that failed so.
    ///
    /// # Errors
    /// The failure, when it is no refusal for now or the last of too many.
    ///
    /// # Cancel safety
    /// The refusal is counted, the wait cut short.
    pub(super) async fn bear(&mut self, failure: anyhow::Error) -> anyhow::Result<()> {
        let is_for_now = failure
            .downcast_ref::<Refusal>()
            .is_some_and(|refusal| refusal.is_for_now);
        if !is_for_now {
            return Err(failure);
        }
        if self.0 >= MAX_REFUSALS {
            return Err(failure.context(format!("refused {} times in a row", self.0 + 1)));
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.0).min(MAX_PAUSE);
        self.0 += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: StatusCode, text: &str) -> anyhow::Error {
        let refusal = Refusal {
            operation: "SendMessageBatch",
            status,
            text: text.to_owned(),
            is_for_now: is_for_now(status, text.as_bytes()),
        };
        refusal.into()
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_is_borne_for_a_while_and_other_refusals_are_not() {
        let mut patience = Patience::default();
        for (status, text) in [
            (StatusCode::FORBIDDEN, "AccessDenied"),
            (StatusCode::BAD_REQUEST, "QueueDoesNotExist"),
        ] {
            assert!(patience.bear(refusal(status, text)).await.is_err());
        }
        assert!(patience.bear(anyhow::anyhow!("closed")).await.is_err());
        let throttled = || refusal(StatusCode::BAD_REQUEST, "#RequestThrottled");
        let busy = || refusal(StatusCode::SERVICE_UNAVAILABLE, "");
        for _ in 0..MAX_REFUSALS / 2 {
            patience.bear(throttled()).await.unwrap();
            patience.bear(busy()).await.unwrap();
        }
        let error = format!("{:#}", patience.bear(busy()).await.unwrap_err());
        assert!(
            error.starts_with("refused 13 times in a row: SendMessageBatch was refused with 503")
        );
        patience.renew();
        patience.bear(busy()).await.unwrap();
    }
}
