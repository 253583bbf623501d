//! `/health` and `/_localstack/health`: what scripts and Testcontainers modules wait for.

use serde_json::json;

/// The answer for this path, if it is one of ours.
#[must_use]
pub fn answer(path: &str) -> Option<String> {
    let body = match path {
        "/health" => json!({"status": "ok"}),
        // LocalStack's shape: its clients look for a service and one of `available` and `running`.
        "/_localstack/health" => json!({
            "services": {"sqs": "running"},
            "edition": "viaduct",
            "version": env!("CARGO_PKG_VERSION"),
        }),
        _ => return None,
    };
    Some(body.to_string())
}
