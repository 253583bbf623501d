//! `viaduct backup` and `viaduct restore`.

use std::path::Path;

use serde_json::json;

use crate::config::Loaded;
use crate::store::embedded;

use crate::cli::Exit;
use crate::cli::Failure;
use crate::cli::Outcome;
use crate::cli::say::say;

use super::expect_data_dir;
use super::running::on_running;
use super::size;
use super::with_bar;

/// Copies the data dir to a folder: a running broker does it itself, and goes on meanwhile.
pub(in crate::cli) fn backup(loaded: &Loaded, folder: &Path) -> Outcome {
    let dir = &loaded.config.data_dir;
    expect_data_dir(dir)?;
    // The broker is elsewhere, and knows nothing of the folder that we are in.
    let folder = std::path::absolute(folder).map_err(|error| Failure::new(Exit::Usage, error))?;
    let body = json!({ "folder": folder }).to_string().into();
    let of_running = on_running(dir, "backup", "/api/viaduct/backup", body)?;
    let (upto, files, bytes) = match of_running {
        Some(saved) => {
            let number = |field| saved.get(field).and_then(serde_json::Value::as_u64);
            let number = |field| number(field).unwrap_or(0);
            (number("upto"), number("files"), number("bytes"))
        }
        None => {
            let saved = with_bar("backup", |progress| {
                embedded::backup(dir, &folder, progress)
            })?;
            (saved.upto, saved.files, saved.bytes)
        }
    };
    say(format!(
        "{}: everything up to record {upto}, {files} files, {}",
        folder.display(),
        size(bytes)
    ));
    Ok(Exit::Clean)
}

/// Makes the data dir, which must be empty or missing, of a backup.
pub(in crate::cli) fn restore(loaded: &Loaded, backup: &Path) -> Outcome {
    let dir = &loaded.config.data_dir;
    let saved = with_bar("restore", |progress| {
        embedded::restore(backup, dir, progress)
    })?;
    say(format!(
        "{}: everything up to record {}, {} files, {}; start the broker on it",
        dir.display(),
        saved.upto,
        saved.files,
        size(saved.bytes)
    ));
    Ok(Exit::Clean)
}
