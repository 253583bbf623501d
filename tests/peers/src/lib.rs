//! A broker process for the Rust peers of Viaduct.
//!
//! `VIADUCT_BIN` names the binary. It runs on free ports with a data directory of its own, and is only ever
//! addressed through the [`Child`] that started it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

/// A debug build on a busy two-core machine still starts well within this.
const READY: Duration = Duration::from_secs(30);
/// The pause between two looks at something that another process does.
const PAUSE: Duration = Duration::from_millis(10);

/// How a broker is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM: it says goodbye, syncs and exits with 0.
    Terminate,
    /// SIGKILL: as a crash.
    Kill,
}

/// One `viaduct serve`; dropping it ends the process and removes its data.
pub struct Broker {
    folder: TempDir,
    address: String,
    process: Child,
}

impl Broker {
    /// Starts the broker on an empty data directory and waits until it says that it is healthy.
    ///
    /// # Panics
    /// When it does not get ready; its log is in the message.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let process = spawn(&folder, "127.0.0.1:0");
        let mut broker = Self {
            folder,
            address: String::new(),
            process,
        };
        broker.await_ready();
        broker
    }

    /// Ends the broker and starts it again on the same data directory and port.
    pub fn restart(&mut self, how: End) {
        let status = self.end(how);
        if how == End::Terminate {
            assert!(
                status.success(),
                "SIGTERM ends it with {status}:\n{}",
                self.log()
            );
        }
        // A killed broker leaves the file behind, and an old one must not be taken for readiness.
        let _ = std::fs::remove_file(self.listeners());
        self.process = spawn(&self.folder, &self.address);
        self.await_ready();
    }

    /// The URL of the AMQP 0-9-1 door, with the default login and virtual host.
    pub fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    fn end(&mut self, how: End) -> ExitStatus {
        let signal = match how {
            End::Terminate => "-TERM",
            End::Kill => "-KILL",
        };
        let sent = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status();
        assert!(
            sent.expect("kill runs").success(),
            "the broker takes {signal}"
        );
        self.process.wait().expect("the broker is our child")
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + READY;
        loop {
            let ended = self.process.try_wait().expect("the broker is our child");
            assert!(
                ended.is_none(),
                "the broker ended with {ended:?}:\n{}",
                self.log()
            );
            if let Some(address) = self.address_if_ready() {
                self.address = address;
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not ready in {READY:?}:\n{}",
                self.log()
            );
            thread::sleep(PAUSE);
        }
    }

    fn address_if_ready(&self) -> Option<String> {
        let text = std::fs::read(self.listeners()).ok()?;
        let listeners: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let health = Command::new(binary())
            .args(["health", "--data-dir"])
            .arg(self.folder.path().join("data"))
            .output();
        if !health.ok()?.status.success() {
            return None;
        }
        Some(listeners.get("amqp")?.get(0)?.as_str()?.to_owned())
    }

    fn listeners(&self) -> PathBuf {
        self.folder.path().join("data/listeners.json")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &TempDir, amqp: &str) -> Child {
    let log = || -> io::Result<File> {
        File::options()
            .create(true)
            .append(true)
            .open(folder.path().join("log"))
    };
    Command::new(binary())
        .args(["serve", "--data-dir"])
        .arg(folder.path().join("data"))
        .args(["--set", &format!("listeners.amqp={amqp}")])
        .args(["--set", "listeners.aws=127.0.0.1:0"])
        .args(["--set", "listeners.metrics=127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log().expect("a log file in our own folder"))
        .spawn()
        .expect("VIADUCT_BIN names a program")
}

fn binary() -> String {
    std::env::var("VIADUCT_BIN").expect("VIADUCT_BIN names the broker's binary; tests/run sets it")
}
