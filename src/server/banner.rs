//! What a person at a terminal sees: where the doors are, and one line to paste for each.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

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
}

/// The default user and key, which everybody knows.
const GUEST: Login = Login {
    user: "guest:guest",
    keys: "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test",
};

/// Where those are switched off or have got a password.
const OTHERS: Login = Login {
    user: "USER:PASSWORD",
    keys: "AWS_ACCESS_KEY_ID=KEY AWS_SECRET_ACCESS_KEY=SECRET",
};

/// Prints the table of listeners, the URLs, the lines to paste, and the ready lines if asked for.
pub(super) fn print(config: &Config, listening: &Listening, auth: &Auth) {
    let has_guest = config.auth.default_users != DefaultUsers::Off
        && auth.user("guest").is_some_and(|user| user.is_default);
    let mut text = table(config, listening, if has_guest { GUEST } else { OTHERS });
    if config.ready_lines {
        text.extend(READY_LINES.iter().flat_map(|line| [line, "\n"]));
    }
    // Nobody may be reading; the broker serves all the same.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn table(config: &Config, listening: &Listening, login: Login) -> String {
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
    for (what, line) in lines(listening, login) {
        let _ = writeln!(text, "  {what:<12}{line}");
    }
    text.push('\n');
    text
}

/// A URL and a line to paste for each door that listens.
fn lines(listening: &Listening, login: Login) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(host) = reachable(&listening.amqp) {
        let url = format!("amqp://{}@{host}/%2F", login.user);
        lines.push(("AMQP", url.clone()));
        let python = "pip install pika && python3 -c \"import pika; pika.BlockingConnection(pika.URLParameters(";
        lines.push((
            "",
            format!("{python}'{url}')).channel().queue_declare('orders', durable=True)\""),
        ));
    }
    if let Some(host) = reachable(&listening.aws) {
        let url = format!("http://{host}");
        lines.push(("SQS", url.clone()));
        let keys = login.keys;
        let line = format!(
            "{keys} AWS_DEFAULT_REGION=us-east-1 aws --endpoint-url {url} sqs get-queue-url --queue-name orders"
        );
        lines.push(("", line));
    }
    if let Some(host) = reachable(&listening.metrics) {
        lines.push(("metrics", format!("curl http://{host}/metrics")));
    }
    lines
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
        let text = table(&Config::default(), &listening, GUEST);
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
        assert!(!text.contains("metrics"), "{text}");
    }
}
