//! Lines for people. A reader that went away (`viaduct user list | head -1`) ends nothing: the
//! standard macros would panic.

use std::io::Write;

/// Writes a line to standard output.
pub(super) fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
}

/// Writes text to standard output as it is.
pub(super) fn print_text(text: impl AsRef<str>) {
    let mut out = std::io::stdout();
    let _ = out
        .write_all(text.as_ref().as_bytes())
        .and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(super) fn complain(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
}
