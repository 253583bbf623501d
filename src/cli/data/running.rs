//! Asks a running broker to do what takes long, and watches it.

use std::path::Path;

use anyhow::anyhow;
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::management::Work;

use crate::cli::Exit;
use crate::cli::Failure;
use crate::cli::block_on;
use crate::cli::control::ask_if_running;
use crate::cli::control::ask_running;
use crate::cli::control::request;

use super::bar::Bar;
use super::bar::PERIOD;

const WORK: &str = "/api/viaduct/work";

/// Begins something on the broker that runs on the data dir, and waits for what comes out; none if no broker runs.
pub(super) fn on_running(
    data_dir: &Path,
    what: &str,
    path: &str,
    body: Bytes,
) -> Result<Option<Value>, Failure> {
    block_on(async {
        let request = request(Method::POST, path, body)?;
        let Some(begun) = ask_if_running(data_dir, request).await? else {
            return Ok(None);
        };
        begun.check()?;
        let mut bar = Bar::new(what);
        loop {
            let reply = ask_running(data_dir, Method::GET, WORK).await?;
            let work: Work = reply.parse()?;
            if !work.is_running {
                return outcome(work).map(Some);
            }
            bar.show((work.done, work.total));
            // Whoever interrupts means the work, too.
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {
                    ask_running(data_dir, Method::DELETE, WORK).await?.check()?;
                }
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    })?
}

fn outcome(work: Work) -> Result<Value, Failure> {
    match work.error {
        Some(error) => Err(Failure::new(Exit::Failed, anyhow!("{error}"))),
        None => Ok(work.result.unwrap_or_default()),
    }
}
