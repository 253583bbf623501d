//! `viaduct check`.

use bytes::Bytes;

use crate::config::Loaded;
use crate::store::embedded;
use crate::store::embedded::Report;

use crate::cli::Exit;
use crate::cli::Failure;
use crate::cli::Outcome;
use crate::cli::say::say;

use super::expect_data_dir;
use super::report;
use super::running::on_running;
use super::with_bar;

/// Reads everything and says what is damaged: code 0 if nothing is, 3 otherwise.
pub(in crate::cli) fn check(loaded: &Loaded, as_json: bool) -> Outcome {
    let dir = &loaded.config.data_dir;
    expect_data_dir(dir)?;
    let of_running = on_running(dir, "check", "/api/viaduct/check", Bytes::new())?;
    let report: Report = match of_running {
        Some(report) => {
            serde_json::from_value(report).map_err(|error| Failure::new(Exit::Failed, error))?
        }
        None => with_bar("check", |progress| embedded::check(dir, progress))?,
    };
    if as_json {
        let text = serde_json::to_string(&report);
        say(text.map_err(|error| Failure::new(Exit::Failed, error))?);
    } else {
        report::show(&report);
        say("nothing was changed");
    }
    Ok(if report.is_sound() {
        Exit::Clean
    } else {
        Exit::DataDir
    })
}
