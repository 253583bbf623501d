//! Reading a password: from a terminal without showing it, or from what is piped in.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;

use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;
use rustix::termios::tcgetattr;
use rustix::termios::tcsetattr;

use crate::auth::Secret;

use super::say::complain;

/// Reads a password from a file, without the line feed that editors add.
pub(super) fn from_file(path: &Path) -> io::Result<Secret> {
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(path)?);
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// Reads a password from standard input; asks for it, twice, if that is a terminal.
pub(super) fn ask(user: &str) -> io::Result<Secret> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let echo = EchoOff::new()?;
    let first = prompt(&format!("Password of {user}: "))?;
    let second = prompt("Again: ")?;
    drop(echo);
    if first != second {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the two passwords differ",
        ));
    }
    Ok(first)
}

fn prompt(text: &str) -> io::Result<Secret> {
    io::stderr().write_all(text.as_bytes())?;
    io::stderr().flush()?;
    let password = line();
    complain("");
    password
}

fn line() -> io::Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut text)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// The terminal without echo, until dropped.
struct EchoOff(Termios);

impl EchoOff {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
