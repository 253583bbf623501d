//! A bar on the terminal; nothing where nobody looks.

use std::io::IsTerminal;
use std::io::Write;
use std::time::Duration;

use super::size;

/// How often it changes.
pub(super) const PERIOD: Duration = Duration::from_millis(100);

/// Places of the bar itself.
const WIDTH: u64 = 30;

/// How far something is, on standard error.
pub(super) struct Bar {
    what: String,
    is_shown: bool,
}

impl Bar {
    /// Shown on a terminal only.
    pub(super) fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    /// Shows bytes done, and in all.
    pub(super) fn show(&mut self, (done, total): (u64, u64)) {
        if self.is_shown {
            // Back to the line's begin, and what is longer from before is cleared.
            let _ = write!(std::io::stderr(), "\r{}\x1b[K", self.line(done, total));
        }
    }

    fn line(&self, done: u64, total: u64) -> String {
        let full = match total {
            0 => 0,
            total => done.min(total).saturating_mul(WIDTH) / total,
        };
        let part = |places: u64, sign: &str| sign.repeat(usize::try_from(places).unwrap_or(0));
        format!(
            "{} [{}{}] {} of {}",
            self.what,
            part(full, "#"),
            part(WIDTH - full, "."),
            size(done),
            size(total)
        )
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let bar = Bar::new("check");
        let half = bar.line(50, 100);
        assert_eq!(half.matches('#').count(), 15);
        assert_eq!(half.matches('.').count(), 15);
        assert!(half.ends_with("50 bytes of 100 bytes"));
        assert_eq!(bar.line(0, 0).matches('#').count(), 0);
        assert_eq!(bar.line(9, 9).matches('#').count(), 30);
    }
}
