//! Where the calls go, and as whom.

use std::env;

use anyhow::Context;
use anyhow::ensure;
use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::aws::sigv4::Signer;
use crate::cli::bench::url::Url;

const DEFAULT_REGION: &str = "us-east-1";
/// Id and secret of the key that stand-ins for AWS take, and Viaduct on this machine.
const DEFAULT_KEY: &str = "test";

/// An endpoint of SQS and the keys for it. It prints no secret.
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// The header `Host`.
    pub(super) authority: String,
    key_id: String,
    secret: Zeroizing<Vec<u8>>,
    region: String,
    /// `X-Amz-Security-Token`, of a key that is only lent.
    token: Option<HeaderValue>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint by its URL; what the URL doesn't say of the key comes from the environment, as SDKs take it.
    ///
    /// # Errors
    /// Anything but `http://KEY:SECRET@HOST:PORT`; TLS is not spoken here.
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        Self::with(url, |name| env::var(name).ok())
    }

    fn with(url: &str, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let parsed = Url::parse(url, "http", 80)?;
        ensure!(parsed.path.is_none(), "{url}: an endpoint has no path");
        let set = |names: &[&str], default: &str| {
            let found = names.iter().find_map(|name| environment(name));
            found.unwrap_or_else(|| default.to_owned())
        };
        let mut token = None;
        let (key_id, secret) = match parsed.user {
            Some(key_id) => {
                let secret = parsed.password.filter(|secret| !secret.is_empty());
                (
                    key_id,
                    secret.context("a key in the URL without its secret")?,
                )
            }
            None => {
                token = environment("AWS_SESSION_TOKEN").filter(|token| !token.is_empty());
                (
                    set(&["AWS_ACCESS_KEY_ID"], DEFAULT_KEY),
                    set(&["AWS_SECRET_ACCESS_KEY"], DEFAULT_KEY),
                )
            }
        };
        let (host, port) = (parsed.host, parsed.port);
        Ok(Self {
            // An IPv6 address stands in brackets where a port follows.
            authority: if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            },
            host,
            port,
            key_id,
            secret: Zeroizing::new(secret.into_bytes()),
            token: token.as_deref().map(secret_header).transpose()?,
            region: set(&["AWS_REGION", "AWS_DEFAULT_REGION"], DEFAULT_REGION),
        })
    }

    /// The token that goes with the key, if one does.
    pub(super) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    /// A signer of calls to it.
    pub(super) fn signer(&self) -> Signer {
        Signer::new(
            self.key_id.clone(),
            self.secret.clone(),
            &self.region,
            "sqs",
        )
    }
}

/// A header that is not printed.
fn secret_header(value: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).context("AWS_SESSION_TOKEN is no header")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> anyhow::Result<Endpoint> {
        Endpoint::with(url, |name| {
            (name != "AWS_REGION").then(|| format!("of {name}"))
        })
    }

    #[test]
    fn an_endpoint_is_a_plain_http_url() {
        let plain = endpoint("http://127.0.0.1:4566").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("127.0.0.1", 4566));
        assert_eq!(endpoint("http://broker/").unwrap().authority, "broker:80");
        let six = endpoint("http://[::1]:4566/").unwrap();
        assert_eq!(
            (six.host.as_str(), six.authority.as_str()),
            ("::1", "[::1]:4566")
        );
        for wrong in [
            "",
            "localhost:4566",
            "https://a:1",
            "http://a:1/queue",
            "http://key@a:1",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_come_from_the_url_or_the_environment_and_are_not_printed() {
        let given = endpoint("http://me:se%2Fcret@a:1").unwrap();
        assert_eq!(
            (given.key_id.as_str(), given.secret.as_slice()),
            ("me", &b"se/cret"[..])
        );
        let found = endpoint("http://a:1").unwrap();
        assert_eq!(found.key_id, "of AWS_ACCESS_KEY_ID");
        assert_eq!(found.secret.as_slice(), b"of AWS_SECRET_ACCESS_KEY");
        assert_eq!(found.region, "of AWS_DEFAULT_REGION");
        assert_eq!(given.token(), None, "a key of its own");
        assert_eq!(found.token().unwrap(), "of AWS_SESSION_TOKEN");
        let default = Endpoint::with("http://a:1", |_| None).unwrap();
        assert_eq!(
            (default.key_id.as_str(), default.region.as_str()),
            ("test", "us-east-1")
        );
        assert!(!format!("{given:?} {:?}", given.signer()).contains("cret"));
    }
}
