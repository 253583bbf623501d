//! `viaduct health` and `viaduct reload`.

use hyper::Method;

use crate::config::Loaded;
use crate::management::Health;
use crate::management::Reloaded;

use super::Exit;
use super::Failure;
use super::Outcome;
use super::block_on;
use super::control::Reply;
use super::control::ask_running;
use super::say::complain;
use super::say::say;

/// Asks the running broker how it is: code 0 if it serves, publishers waiting or not.
pub(super) fn health(loaded: &Loaded) -> Outcome {
    let reply = block_on(ask_running(&loaded.config.data_dir, Method::GET, "/health"))??;
    let health: Health = reply.parse()?;
    match health.alarms.as_slice() {
        [] => say(format!(
            "{}: viaduct {}, pid {}",
            health.status, health.version, health.pid
        )),
        alarms => say(format!(
            "{}: publishers wait ({}), pid {}",
            health.status,
            alarms.join(", "),
            health.pid
        )),
    }
    if health.damages > 0 {
        say(format!(
            "damaged places in the data dir: {}; viaduct check shows them",
            health.damages
        ));
    }
    for queue in &health.quarantined {
        say(queue);
    }
    let shown = u64::try_from(health.quarantined.len()).unwrap_or(u64::MAX);
    if health.quarantined_total > shown {
        let more = health.quarantined_total - shown;
        say(format!("and {more} more"));
    }
    Ok(if health.status == "stopping" {
        Exit::Failed
    } else {
        Exit::Clean
    })
}

/// Makes the running broker read its configuration again.
pub(super) fn reload(loaded: &Loaded) -> Outcome {
    let reply: Reply = block_on(ask_running(
        &loaded.config.data_dir,
        Method::POST,
        "/api/viaduct/reload",
    ))??;
    let reloaded: Reloaded =
        serde_json::from_slice(&reply.body).map_err(|error| Failure::new(Exit::Failed, error))?;
    for problem in &reloaded.problems {
        complain(problem);
    }
    for key in &reloaded.applied {
        say(format!("{key}: in effect"));
    }
    for key in &reloaded.needs_restart {
        say(format!("{key}: needs a restart"));
    }
    Ok(if reloaded.problems.is_empty() {
        Exit::Clean
    } else {
        Exit::Usage
    })
}
