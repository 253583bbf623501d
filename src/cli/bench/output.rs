//! Where reports go.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::cli::say::complain;
use crate::cli::say::print_text;

/// Writes the text to standard output and the JSON to a file; `-` is standard output, and the text
/// then goes to standard error.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(
    text: &str,
    report: &impl Serialize,
    json: Option<&Path>,
) -> anyhow::Result<()> {
    let Some(file) = json else {
        print_text(text);
        return Ok(());
    };
    let mut line = serde_json::to_string(report)?;
    line.push('\n');
    if file == Path::new("-") {
        complain(text.trim_end());
        print_text(line);
    } else {
        print_text(text);
        std::fs::write(file, line).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
