//! The real binary as a process: started on free ports, spoken to, stopped.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// Longest wait for anything: far above what is promised, for a busy machine with a debug build.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A command line of the binary that sees none of this machine's configuration.
pub fn viaduct() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viaduct"));
    // Not even names like DEBUG, which the broker knows from other images.
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end: exit code, standard output, standard error.
pub fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Polls until there is something.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A running broker with a folder of its own. Dropping it kills it.
pub struct Broker {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Broker {
    /// Starts a broker in an empty folder, which is its working directory, and waits until it serves.
    pub fn start(arguments: &[&str]) -> Self {
        let mut broker = Self {
            folder: tempfile::tempdir().unwrap(),
            child: None,
        };
        broker.start_again(arguments);
        broker
    }

    /// Starts it, again, on the same data dir.
    pub fn start_again(&mut self, arguments: &[&str]) {
        let mut command = viaduct();
        command.args(arguments);
        self.spawn(&mut command);
    }

    /// Starts a prepared command as this broker, and waits until it serves.
    pub fn spawn(&mut self, command: &mut Command) {
        for door in ["AMQP", "AWS", "METRICS"] {
            let name = format!("VIADUCT__LISTENERS__{door}");
            let is_set = command.get_envs().any(|(known, _)| known == name.as_str());
            if !is_set {
                command.env(name, "127.0.0.1:0");
            }
        }
        let file = |name: &str| File::create(self.folder.path().join(name)).unwrap();
        command
            .current_dir(self.folder.path())
            .stdout(file("out"))
            .stderr(file("log"));
        let listeners = self.data_dir().join("listeners.json");
        let _ = std::fs::remove_file(&listeners);
        self.child = Some(command.spawn().unwrap());
        eventually("the broker serves", || {
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the broker ended: {}", self.log());
            listeners.exists().then_some(())
        });
    }

    /// The folder that it was started in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its data dir.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// What it wrote to standard output.
    pub fn out(&self) -> String {
        read(&self.folder.path().join("out"))
    }

    /// Waits for a text in the log.
    pub fn logged(&self, text: &str) -> String {
        eventually(text, || {
            self.log()
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned)
        })
    }

    /// The first address of a door.
    pub fn address(&self, door: &str) -> SocketAddr {
        let listeners: serde_json::Value =
            serde_json::from_str(&read(&self.data_dir().join("listeners.json"))).unwrap();
        listeners[door][0].as_str().unwrap().parse().unwrap()
    }

    /// A command line for this broker's data dir.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = viaduct();
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();

        eventually("the broker ends", || child.try_wait().unwrap())
    }

    /// Sends a signal and waits for the end; how it went and how long it took.
    pub fn stop(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(signal);
        let status = self.wait();
        (status, start.elapsed())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_string(&mut text).unwrap(),
        Err(_) => 0,
    };
    text
}
