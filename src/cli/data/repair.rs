//! `viaduct repair`.

use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;

use crate::config::Loaded;
use crate::store::embedded;
use crate::store::embedded::Report;

use crate::cli::Exit;
use crate::cli::Outcome;
use crate::cli::clock;
use crate::cli::say::complain;
use crate::cli::say::say;

use super::expect_data_dir;
use super::report;
use super::with_bar;

/// Shows what is damaged and what will be lost, asks, and repairs.
pub(in crate::cli) fn repair(loaded: &Loaded, yes: bool) -> Outcome {
    let dir = &loaded.config.data_dir;
    expect_data_dir(dir)?;
    let found = with_bar("check", |progress| embedded::check(dir, progress))?;
    if found.is_sound() {
        say(format!("{}: no damage, nothing to repair", dir.display()));
        return Ok(Exit::Clean);
    }
    if !agree(&found, yes) {
        say("nothing was changed");
        return Ok(Exit::Failed);
    }
    let name = clock::stamp();
    let repaired = with_bar("repair", |progress| {
        // What somebody agreed to, and nothing else.
        embedded::repair(dir, &name, progress, &mut |again| *again == found)
    })?;
    let Some(repaired) = repaired else {
        complain("viaduct: the data dir has changed meanwhile: repeat it");
        return Ok(Exit::Failed);
    };
    say(format!(
        "repaired; the damaged files and the report are kept in {}",
        repaired.kept.display()
    ));
    Ok(Exit::Clean)
}

/// Shows a report, and asks whether to go on.
fn agree(found: &Report, yes: bool) -> bool {
    report::show(found);
    say(
        "a message that is given up is lost, and one whose settling is given up may come back; \
         the files are kept as they are beside the repaired ones",
    );
    if yes {
        return true;
    }
    if !std::io::stdin().is_terminal() {
        complain("viaduct: nobody is there to ask: repeat it with --yes");
        return false;
    }
    let _ = write!(std::io::stderr(), "repair? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}
