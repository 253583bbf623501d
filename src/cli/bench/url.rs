//! Where a broker is, and who asks.

use anyhow::Context;
use anyhow::bail;
use percent_encoding::percent_decode_str;

/// `scheme://user:password@host:port/path`, its parts decoded. It prints no password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
    /// Without the slash; `None` when there is nothing behind the host.
    pub(super) path: Option<String>,
}

impl Url {
    /// Reads a URL of one scheme.
    ///
    /// # Errors
    /// Another scheme, no host, or a port that is no number.
    pub(super) fn parse(text: &str, scheme: &str, default_port: u16) -> anyhow::Result<Self> {
        let Some((given, rest)) = text.split_once("://") else {
            bail!("expected {scheme}://HOST:PORT instead of '{text}'");
        };
        if given.strip_suffix('s') == Some(scheme) || given == "tls" {
            bail!(
                "{given}:// is over TLS, which the bench does not support yet; {scheme}:// is without"
            );
        }
        if given != scheme {
            bail!("expected a URL that begins with {scheme}:// instead of {given}://");
        }
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (Some(decode(user)?), Some(decode(password)?)),
            None => (None, None),
        };
        let (host, port) = split_port(place, default_port)?;
        if host.is_empty() {
            bail!("no host in '{scheme}://{place}'");
        }
        Ok(Self {
            user,
            password,
            host: host.to_owned(),
            port,
            path: path
                .filter(|path| !path.is_empty())
                .map(decode)
                .transpose()?,
        })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(place: &str, default: u16) -> anyhow::Result<(&str, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').context("'[' without ']' in the URL")?;
            (host, behind.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port {
        Some(port) => port
            .parse()
            .with_context(|| format!("'{port}' is no port"))?,
        None => default,
    };
    Ok((host, port))
}

fn decode(text: &str) -> anyhow::Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded.context("the URL is not UTF-8")?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Url> {
        Url::parse(text, "amqp", 5672)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn parts_are_found_and_decoded() {
        let url = parse("amqp://us%40er:p%3Aw@[::1]:99/%2fx").unwrap();
        assert_eq!((url.user, url.password), (some("us@er"), some("p:w")));
        assert_eq!((url.host.as_str(), url.port), ("::1", 99));
        assert_eq!(url.path, some("/x"));
        let url = parse("amqp://host/").unwrap();
        assert_eq!((url.user, url.path, url.port), (None, None, 5672));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (
                "localhost:5672",
                "expected amqp://HOST:PORT instead of 'localhost:5672'",
            ),
            (
                "amqps://x",
                "amqps:// is over TLS, which the bench does not support yet; amqp:// is without",
            ),
            (
                "http://x",
                "expected a URL that begins with amqp:// instead of http://",
            ),
            ("amqp://:1/", "no host in 'amqp://:1'"),
            ("amqp://h:70000", "'70000' is no port"),
            ("amqp://[::1", "'[' without ']' in the URL"),
        ] {
            assert_eq!(parse(text).err().unwrap().to_string(), expected);
        }
    }
}
