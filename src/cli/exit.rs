//! How the process ends.

use std::process::ExitCode;

/// An exit code. Scripts rely on them: they don't change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done as asked.
    Clean,
    /// 1: failed while running, or the answer is no.
    Failed,
    /// 2: usage or configuration.
    Usage,
    /// 3: the data dir is locked, newer, damaged or not writable.
    DataDir,
    /// 4: a listener could not be opened.
    Listener,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::DataDir => 3,
            Self::Listener => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
