//! The client of the control socket.

use std::io;
use std::path::Path;

use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::config::Config;
use crate::management::ControlPath;
use crate::server;
use crate::server::MissingDataDir;

use super::Exit;
use super::Failure;
use super::say::say;
use super::serve::exit_of_start;

/// What the broker answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Reply {
    /// The answer's value, or the broker's reason as a failure.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.check()?;
        serde_json::from_slice(&self.body).map_err(|error| Failure::new(Exit::Failed, error))
    }

    /// The broker's reason as a failure, if it refused.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.status.is_success() {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let reason = body
            .get("reason")
            .and_then(Value::as_str)
            .unwrap_or("no reason given");
        Err(Failure::new(Exit::Failed, anyhow!("{reason}")))
    }
}

/// Asks the broker that runs on a data dir.
pub(super) async fn ask_running(
    data_dir: &Path,
    method: Method,
    path: &str,
) -> Result<Reply, Failure> {
    match connect(data_dir).await {
        Ok(stream) => send(stream, request(method, path, Bytes::new())?).await,
        Err(error) if is_nobody(&error) => Err(Failure::new(
            Exit::Failed,
            anyhow!("no broker runs on {}", data_dir.display()),
        )),
        Err(error) => Err(Failure::new(Exit::Failed, no_access(data_dir, &error))),
    }
}

/// Asks the broker that runs on a data dir; none if none runs.
pub(super) async fn ask_if_running(
    data_dir: &Path,
    request: Request<Bytes>,
) -> Result<Option<Reply>, Failure> {
    match connect(data_dir).await {
        Ok(stream) => send(stream, request).await.map(Some),
        Err(error) if is_nobody(&error) => Ok(None),
        Err(error) => Err(Failure::new(Exit::Failed, no_access(data_dir, &error))),
    }
}

/// Asks the broker that runs on the data dir, or does it here if none runs.
pub(super) async fn ask(
    config: &Config,
    request: Request<Bytes>,
    missing: MissingDataDir,
) -> Result<Reply, Failure> {
    match connect(&config.data_dir).await {
        Ok(stream) => send(stream, request).await,
        Err(error) if is_nobody(&error) => {
            let was_there = config.data_dir.exists();
            let stopped = server::Stopped::open(config, missing)
                .map_err(|error| Failure::new(exit_of_start(&error), error))?;
            if !was_there {
                say(format!("data dir {} created", config.data_dir.display()));
            }
            let response = stopped.management().answer(request).await;
            let reply = Reply {
                status: response.status(),
                body: response.into_body(),
            };
            stopped
                .close()
                .map_err(|error| Failure::new(Exit::Failed, error))?;
            Ok(reply)
        }
        Err(error) => Err(Failure::new(
            Exit::Failed,
            no_access(&config.data_dir, &error),
        )),
    }
}

/// A request for either of them.
pub(super) fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Bytes>, Failure> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "viaduct");
    request
        .body(body)
        .map_err(|error| Failure::new(Exit::Usage, error))
}

async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let path = ControlPath::in_data_dir(data_dir)?;
    UnixStream::connect(path.as_path()).await
}

/// Whether nobody listens: no socket, or one that a crash left behind.
fn is_nobody(error: &io::Error) -> bool {
    [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind())
}

fn no_access(data_dir: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!(
        "cannot speak to the broker on {}: {error}",
        data_dir.display()
    )
}

async fn send(stream: UnixStream, request: Request<Bytes>) -> Result<Reply, Failure> {
    exchange(stream, request.map(Full::new))
        .await
        .map_err(|error| Failure::new(Exit::Failed, error))
}

async fn exchange(
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> Result<Reply, hyper::Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok(Reply {
            status,
            body: response.into_body().collect().await?.to_bytes(),
        })
    };
    // The connection has to be driven while the answer comes; it lives no longer than this.
    tokio::select! {
        answer = answer => answer,
        Err(error) = connection => Err(error),
    }
}
