//! What a person at a terminal sees: where the doors are, and one line to paste for each.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::auth::Auth;
use crate::auth::DefaultUsers;
use crate::config::Config;

use super::listening::Listening;

/// What Testcontainers modules of other brokers wait for, in their order of appearance there:
/// RabbitMQContainer, ActiveMQContainer, ArtemisContainer, LocalStackContainer.
const READY_LINES: [&str; 4] = [
    "Server startup complete",
    "Apache ActiveMQ stand-in started",
    "HTTP Server started",
    "Ready.",
];

/// What to log in with, in the lines to paste.
#[derive(Clone, Copy)]
struct Login {
    user: &'static str,
    keys: &'static str,
    /// Whether it works from this machine only.
    is_local: bool,
}

/// The default user and key, which everybody knows.
const GUEST: Login = Login {
    user: "guest:guest",
    keys: "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test",
    is_local: true,
};

/// Where those are switched off or have got a password.
const OTHERS: Login = Login {
    user: "USER:PASSWORD",
    keys: "AWS_ACCESS_KEY_ID=KEY AWS_SECRET_ACCESS_KEY=SECRET",
    is_local: false,
};

/// What of a URL's path is written as it is (RFC 3986 §2.3, unreserved).
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Prints the table of listeners, the URLs, the lines to paste, and the ready lines if asked for.
/// `vhost` is the one that clients are shown.
pub(super) fn print(config: &Config, vhost: &str, listening: &Listening, auth: &Auth) {
    let has_guest = config.auth.default_users != DefaultUsers::Off
        && auth.user("guest").is_some_and(|user| user.is_default);
    let login = Login {
        is_local: config.auth.default_users == DefaultUsers::Loopback,
        ..GUEST
    };
    let login = if has_guest { login } else { OTHERS };
    let mut text = table(config, vhost, listening, login);
    if config.ready_lines {
        text.extend(READY_LINES.iter().flat_map(|line| [line, "\n"]));
    }
    // Nobody may be reading; the broker serves all the same.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn table(config: &Config, vhost: &str, listening: &Listening, login: Login) -> String {
    let mut text = format!(
        "viaduct {}, data in {}\n\n",
        env!("CARGO_PKG_VERSION"),
        config.data_dir.display()
    );
    for (title, key, addresses) in listening.rows() {
        for (n, address) in addresses.iter().enumerate() {
            let (title, key) = if n == 0 {
                (title, format!("listeners.{key}"))
            } else {
                ("", String::new())
            };
            // Writing into a `String` cannot fail; likewise below.
            let _ = writeln!(
                text,
                "{}",
                format!("  {title:<12}{:<26}{key}", address.to_string()).trim_end()
            );
        }
    }
    text.push('\n');
    let has_sqs = config
        .vhosts
        .get(vhost)
        .is_some_and(|vhost| vhost.account.is_some());
    let sqs = has_sqs.then(|| sqs_lines(listening, login));
    let lines = [
        amqp_lines(vhost, listening, login),
        sqs.unwrap_or_else(|| no_sqs(vhost)),
        metrics_line(listening),
    ];
    for (what, line) in lines.into_iter().flatten() {
        let _ = writeln!(text, "  {what:<12}{line}");
    }
    text.push('\n');
    text
}

/// Lines with what each is about, where a new subject begins.
type Lines = Vec<(&'static str, String)>;

/// A URL and a line to paste.
fn amqp_lines(vhost: &str, listening: &Listening, login: Login) -> Lines {
    let Some(host) = reachable(&listening.amqp) else {
        return Lines::new();
    };
    let vhost = utf8_percent_encode(vhost, IN_PATH);
    let url = format!("amqp://{}@{host}/{vhost}", login.user);
    let python =
        "pip install pika && python3 -c \"import pika; pika.BlockingConnection(pika.URLParameters(";
    vec![
        (
            "AMQP",
            format!("{url}{}", only_from(&listening.amqp, login)),
        ),
        (
            "",
            format!("{python}'{url}')).channel().queue_declare('orders', durable=True)\""),
        ),
    ]
}

fn sqs_lines(listening: &Listening, login: Login) -> Lines {
    let Some(host) = reachable(&listening.aws) else {
        return Lines::new();
    };
    let url = format!("http://{host}");
    let keys = login.keys;
    let line = format!(
        "{keys} AWS_DEFAULT_REGION=us-east-1 aws --endpoint-url {url} sqs get-queue-url --queue-name orders"
    );
    vec![
        ("SQS", format!("{url}{}", only_from(&listening.aws, login))),
        ("", line),
    ]
}

/// Instead of a line that would not find the queue which the line for AMQP makes.
fn no_sqs(vhost: &str) -> Lines {
    let vhost = vhost.escape_debug();
    let line = format!("none in virtual host {vhost} until vhosts.<name>.account is set for it");
    vec![("SQS", line)]
}

fn metrics_line(listening: &Listening) -> Lines {
    let host = reachable(&listening.metrics);
    host.map(|host| ("metrics", format!("curl http://{host}/metrics")))
        .into_iter()
        .collect()
}

/// What a reader on another machine must know of a login that does not work there.
fn only_from(addresses: &[SocketAddr], login: Login) -> &'static str {
    let is_open = addresses.iter().any(|address| !address.ip().is_loopback());
    if login.is_local && is_open {
        "  (this login: from this machine only, see auth.default_users)"
    } else {
        ""
    }
}

/// The address to paste: `localhost` for loopback and for all interfaces.
fn reachable(addresses: &[SocketAddr]) -> Option<String> {
    let first = addresses.first()?;
    let is_local = first.ip().is_loopback() || first.ip().is_unspecified();
    Some(if is_local {
        format!("localhost:{}", first.port())
    } else {
        first.to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn the_table_names_every_address_and_its_key() {
        let listening = Listening {
            amqp: vec![
                "127.0.0.1:5672".parse().unwrap(),
                "[::1]:5672".parse().unwrap(),
            ],
            aws: vec!["192.0.2.7:4566".parse().unwrap()],
            metrics: Vec::new(),
        };
        let text = table(&Config::default(), "/", &listening, GUEST);
        assert!(
            text.contains(
                "  AMQP 0-9-1  127.0.0.1:5672            listeners.amqp\n              [::1]:5672\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("amqp://guest:guest@localhost:5672/%2F\n"),
            "{text}"
        );
        assert!(
            text.contains("--endpoint-url http://192.0.2.7:4566 sqs"),
            "{text}"
        );
        assert!(
            text.contains("http://192.0.2.7:4566  (this login: from this machine only"),
            "{text}"
        );
        assert!(!text.contains("metrics"), "{text}");
    }

    #[test]
    fn the_virtual_host_of_an_image_stands_in_the_url_and_a_login_says_from_where() {
        let env = [("RABBITMQ_DEFAULT_VHOST", "my/shop")];
        let loaded = Sources {
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            ..Sources::default()
        }
        .load()
        .unwrap();
        let mut listening = Listening {
            amqp: vec!["0.0.0.0:5672".parse().unwrap()],
            aws: vec!["127.0.0.1:4566".parse().unwrap()],
            metrics: Vec::new(),
        };
        let text = table(&loaded.config, &loaded.vhost, &listening, GUEST);
        assert!(
            text.contains("  amqp://guest:guest@localhost:5672/my%2Fshop  (this login"),
            "{text}"
        );
        assert!(text.contains("@localhost:5672/my%2Fshop')"), "{text}");
        assert!(
            text.contains("  SQS         none in virtual host my/shop until vhosts.<name>.account"),
            "{text}"
        );
        assert!(!text.contains("get-queue-url"), "{text}");
        let anywhere = Login {
            is_local: false,
            ..GUEST
        };
        for (address, login) in [("0.0.0.0:1", anywhere), ("[::1]:1", GUEST)] {
            listening.amqp = vec![address.parse().unwrap()];
            let text = table(&loaded.config, "/", &listening, login);
            assert!(!text.contains("this machine only"), "{text}");
            assert!(text.contains("get-queue-url"), "{text}");
        }
    }
}
