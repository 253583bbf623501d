//! Small HTTP/1.1 servers: the metrics endpoint and the control socket.
//!
//! Requests are collected before they are answered, under a limit. The AWS gateway has its own
//! loop: it streams, and speaks HTTP/2.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

/// A client that sends no head, or nothing on a kept connection, for so long is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A body that takes longer is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Memory for a request's head.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Serves one connection until the peer closes it or `stop` ends it after the request in hand.
pub async fn serve<I, F, A>(io: I, stop: CancellationToken, body_max_bytes: usize, answer: F)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Bytes>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Bytes>> + Send,
{
    let answer = Arc::new(answer);
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = Arc::clone(&answer);
        async move {
            let response = match collect(request, body_max_bytes).await {
                Ok(request) => answer(request).await,
                Err(status) => empty(status),
            };
            Ok::<_, Infallible>(response.map(Full::new))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended");
    }
}

async fn collect(
    request: Request<Incoming>,
    max_bytes: usize,
) -> Result<Request<Bytes>, StatusCode> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, max_bytes).collect()).await;
    match body {
        Ok(Ok(body)) => Ok(Request::from_parts(head, body.to_bytes())),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Bytes> {
    text(status, "text/plain", Bytes::new())
}

/// An answer with a body of this type.
pub fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let value = hyper::header::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, value);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    async fn answer_to(request: &str) -> String {
        let (mut client, server) = tokio::io::duplex(4096);
        let echo = |request: Request<Bytes>| async move {
            text(StatusCode::OK, "text/plain", request.into_body())
        };
        client.write_all(request.as_bytes()).await.unwrap();
        let serving = serve(server, CancellationToken::new(), 8, echo);
        let mut answer = String::new();
        let reading = async { client.read_to_string(&mut answer).await };
        let ((), _) = tokio::join!(serving, reading);
        answer
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let answer =
            answer_to("PUT / HTTP/1.1\r\nconnection: close\r\ncontent-length: 8\r\n\r\n12345678")
                .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let answer =
            answer_to("PUT / HTTP/1.1\r\nconnection: close\r\ncontent-length: 9\r\n\r\n123456789")
                .await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
}
