//! A gateway on a core over the memory store, and a small client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::HeaderMap;
use hyper::Request;
use hyper::StatusCode;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use viaduct::auth::Auth;
use viaduct::auth::AuthConfig;
use viaduct::auth::MemoryRecords;
use viaduct::aws::config::AwsConfig;
use viaduct::aws::config::CredentialsMode;
use viaduct::aws::gateway::Gateway;
use viaduct::aws::route::serve_connection;
use viaduct::aws::sqs::mapping::SQS_FORMAT;
use viaduct::aws::sqs::mapping::SqsDecode;
use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::formats::Formats;
use viaduct::core::model::time::CoreTime;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;
use viaduct::transport::Clock;
use viaduct::transport::Limits;
use viaduct::transport::Runtime;

/// A running gateway.
pub(super) struct Broker {
    pub(super) core: Core,
    pub(super) store: Arc<MemoryStore>,
    pub(super) auth: Arc<Auth>,
    pub(super) address: SocketAddr,
    pub(super) runtime: Runtime,
    pub(super) clock: Arc<Clock>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        if self.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&self.body).unwrap()
        }
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Status and query code of a JSON error.
    pub(super) fn refusal(&self) -> (u16, String) {
        let code = self
            .headers
            .get("x-amzn-query-error")
            .expect("an error")
            .to_str()
            .unwrap();
        let code = code.split(';').next().unwrap().to_owned();
        assert!(self.json()["__type"].as_str().unwrap().contains('#'));
        (self.status.as_u16(), code)
    }
}

pub(super) fn any() -> AwsConfig {
    AwsConfig {
        credentials: CredentialsMode::Any,
        ..AwsConfig::default()
    }
}

/// Starts a gateway whose every key is good.
pub(super) async fn start() -> Broker {
    start_on(MemoryStore::new(1), any(), Formats::new()).await
}

/// Starts a gateway on a store; `formats` are those of other doors.
pub(super) async fn start_on(
    store: Arc<MemoryStore>,
    config: AwsConfig,
    formats: Formats,
) -> Broker {
    start_with(store, config, formats, 1 << 30).await
}

pub(super) async fn start_with(
    store: Arc<MemoryStore>,
    config: AwsConfig,
    formats: Formats,
    memory_budget_bytes: u64,
) -> Broker {
    start_hasty(
        store,
        config,
        formats,
        memory_budget_bytes,
        Limits::LOGIN_TIMEOUT,
    )
    .await
}

/// Starts a gateway with its own patience for clients that prove nothing.
pub(super) async fn start_hasty(
    store: Arc<MemoryStore>,
    config: AwsConfig,
    formats: Formats,
    memory_budget_bytes: u64,
    login_timeout: Duration,
) -> Broker {
    let clock = Arc::new(Clock::start());
    let formats = formats.with(SQS_FORMAT, Arc::new(SqsDecode));
    let settings = Settings::new(memory_budget_bytes);
    let now = CoreTime::from_ms(clock.now_ms());
    let (core, _) = Core::open(
        store.clone(),
        formats,
        Arc::new(Metrics::new()),
        &settings,
        now,
    )
    .unwrap();
    let records = Arc::new(MemoryRecords::default());
    let auth = Arc::new(Auth::open(records, &AuthConfig::default(), &["/".to_owned()]).unwrap());
    let runtime = Runtime::new();
    let mut gateway = Gateway::new(
        core.clone(),
        auth.clone(),
        clock.clone(),
        config,
        runtime.clone(),
    );
    gateway.login_timeout = login_timeout;
    let gateway = Arc::new(gateway);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = runtime.clone();
    runtime.spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            accepting.spawn(serve_connection(stream, peer, false, gateway.clone()));
        }
    });
    runtime.spawn(timers(core.clone(), clock.clone()));
    Broker {
        core,
        store,
        auth,
        address,
        runtime,
        clock,
    }
}

/// What the server does with the core's timers.
async fn timers(core: Core, clock: Arc<Clock>) {
    loop {
        let due = core.next_due();
        let wait = due.map_or(3_600_000, |due| due.as_ms().saturating_sub(clock.now_ms()));
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_millis(wait)) => {}
            () = std::future::poll_fn(|cx| core.poll_due_changed(due, cx)) => {}
        }
        core.tick(CoreTime::from_ms(clock.now_ms())).unwrap();
    }
}

impl Broker {
    pub(super) fn url(&self, queue: &str) -> String {
        format!("http://{}/000000000000/{queue}", self.address)
    }

    /// Sends one request on a connection of its own.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        self.runtime.spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Calls an operation by JSON.
    pub(super) async fn json(&self, operation: &str, input: Value) -> Answer {
        let request = Request::post("/")
            .header("host", self.address.to_string())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"));
        self.send(request.body(Full::from(input.to_string())).unwrap())
            .await
    }

    /// Calls an operation by JSON that must succeed.
    pub(super) async fn ok(&self, operation: &str, input: Value) -> Value {
        let answer = self.json(operation, input).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{operation}: {}",
            answer.text()
        );
        answer.json()
    }

    /// Calls an operation by JSON that must fail, and returns status and query code.
    pub(super) async fn refusal(&self, operation: &str, input: Value) -> (u16, String) {
        self.json(operation, input).await.refusal()
    }

    /// Calls an operation by a form.
    pub(super) async fn form(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Full::from(form.to_owned())).unwrap())
            .await
    }

    /// Makes a queue with attributes.
    pub(super) async fn create(&self, name: &str, attributes: Value) -> String {
        let output = self
            .ok(
                "CreateQueue",
                json!({"QueueName": name, "Attributes": attributes}),
            )
            .await;
        output["QueueUrl"].as_str().unwrap().to_owned()
    }

    pub(super) async fn publish(&self, url: &str, body: &str) -> Value {
        self.ok("SendMessage", json!({"QueueUrl": url, "MessageBody": body}))
            .await
    }

    /// Receives up to ten messages with everything about them, without waiting.
    pub(super) async fn receive(&self, url: &str) -> Vec<Value> {
        self.receive_with(url, json!({})).await
    }

    pub(super) async fn receive_with(&self, url: &str, more: Value) -> Vec<Value> {
        let mut input = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        let output = self.ok("ReceiveMessage", input).await;
        output["Messages"].as_array().cloned().unwrap_or_default()
    }

    pub(super) async fn attribute(&self, url: &str, name: &str) -> Value {
        let output = self
            .ok(
                "GetQueueAttributes",
                json!({"QueueUrl": url, "AttributeNames": ["All"]}),
            )
            .await;
        output["Attributes"][name].clone()
    }
}
