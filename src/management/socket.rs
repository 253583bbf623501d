//! The control socket: `<data-dir>/control.sock`, for the user who owns the data dir.

use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;
use tokio::net::UnixListener;

use crate::transport::Runtime;
use crate::transport::http;

use super::Management;

/// Name of the socket in the data dir.
const NAME: &str = "control.sock";

/// Longest path of a socket on every system (104 on macOS, 108 on Linux, with a closing NUL).
const PATH_MAX_BYTES: usize = 103;

/// Largest body of a request: users and permissions are small.
const BODY_MAX_BYTES: usize = 1 << 20;

/// Command lines that wait for an accept.
const BACKLOG: i32 = 16;

/// The path of a control socket in a form that fits a socket address.
#[derive(Debug)]
pub struct ControlPath {
    path: PathBuf,
    /// Keeps the folder open while the path goes through its descriptor.
    _folder: Option<File>,
}

impl ControlPath {
    /// The socket of a data dir.
    ///
    /// # Errors
    /// The data dir cannot be opened.
    pub fn in_data_dir(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(NAME);
        if path.as_os_str().len() <= PATH_MAX_BYTES {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        // Linux lets a path start at an open folder, however long that one's own path is.
        let folder = File::open(data_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self {
            path,
            _folder: Some(folder),
        })
    }

    /// The path, valid as long as `self` lives.
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

/// The bound control socket.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: ControlPath,
}

impl ControlSocket {
    /// Binds the socket with mode 0600, in the place of one that a crash left behind. The caller
    /// holds the data dir's lock, so nobody else serves it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = ControlPath::in_data_dir(data_dir)?;
        match std::fs::remove_file(path.as_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path.as_path())?)?;
        // Between bind and listen nobody can connect, so there is no moment with the wrong mode.
        std::fs::set_permissions(path.as_path(), Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(
            std::os::fd::OwnedFd::from(socket),
        ))?;
        Ok(Self { listener, path })
    }

    /// Serves the socket until the runtime stops, and removes it then.
    pub fn serve(self, runtime: &Runtime, management: Management) {
        let (spawner, stop) = (runtime.clone(), runtime.stop_token().clone());
        runtime.spawn(async move {
            loop {
                // Both branches are safe to drop: `accept` loses no connection.
                let accepted = tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    accepted = self.listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, _)) => {
                        let (management, stop) = (management.clone(), stop.clone());
                        let answer = move |request| {
                            let management = management.clone();
                            async move { management.answer(request).await }
                        };
                        spawner.spawn(http::serve(stream, stop, BODY_MAX_BYTES, answer));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept on the control socket");
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
            }
            // Whoever comes later should see that nobody is there.
            let _ = std::fs::remove_file(self.path.as_path());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_replaces_a_left_over_one() {
        let folder = tempfile::tempdir().unwrap();
        drop(ControlSocket::bind(folder.path()).unwrap());
        let socket = ControlSocket::bind(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join(NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_data_dir_with_a_long_path_has_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(150));
        std::fs::create_dir(&deep).unwrap();
        let _socket = ControlSocket::bind(&deep).unwrap();
        let path = ControlPath::in_data_dir(&deep).unwrap();
        assert!(
            tokio::net::UnixStream::connect(path.as_path())
                .await
                .is_ok()
        );
    }
}
