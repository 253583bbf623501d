//! Names that LocalStack's image knows. Each may also begin with `LOCALSTACK_`, as there.

use super::Alias;
use super::Reader;
use super::holds_already;
use super::moved;
use super::unused;

const LOCALSTACK: &str = "LocalStack";

/// Before any of its names.
const PREFIX: &str = "LOCALSTACK_";

/// The port of its gateway where nothing else is said.
const GATEWAY_PORT: &str = "4566";

/// Its gateway also listens here, with TLS.
const TLS_PORT: &str = "443";

/// What of its services is here.
const SERVICES: [&str; 1] = ["sqs"];

/// Levels of its log and ours.
const LEVELS: [(&str, &str); 7] = [
    ("trace-internal", "trace"),
    ("trace", "trace"),
    ("debug", "debug"),
    ("info", "info"),
    ("warn", "warn"),
    ("warning", "warn"),
    ("error", "error"),
];

pub(super) const ALIASES: &[Alias] = &[
    Alias {
        names: &["GATEWAY_LISTEN", "EDGE_PORT"],
        image: LOCALSTACK,
        sets: "listeners.aws",
        help: "The addresses, or the port alone. Port 443 is left out: it would have to speak TLS.",
        read: gateway,
    },
    Alias {
        names: &[
            "LOCALSTACK_HOST",
            "HOSTNAME_EXTERNAL",
            "USE_SSL",
            "SQS_ENDPOINT_STRATEGY",
        ],
        image: LOCALSTACK,
        sets: "aws.public_url",
        help: "Host and port of queue URLs, `https` with `USE_SSL=1`. The strategies `dynamic` (the Host of the request) and `off` are ours, too, others are not.",
        read: public_url,
    },
    Alias {
        names: &["LS_LOG", "DEBUG"],
        image: LOCALSTACK,
        sets: "log.level",
        help: "The level; `DEBUG=1` is debug.",
        read: log_level,
    },
    Alias {
        names: &["SQS_DELAY_PURGE_RETRY"],
        image: LOCALSTACK,
        sets: "aws.purge_in_progress",
        help: "`1` or `true`, `0` or `false`.",
        read: |reader, alias| switch(reader, alias, &["aws", "purge_in_progress"]),
    },
    Alias {
        names: &["SQS_DELAY_RECENTLY_DELETED"],
        image: LOCALSTACK,
        sets: "aws.queue_deleted_recently",
        help: "`1` or `true`, `0` or `false`.",
        read: |reader, alias| switch(reader, alias, &["aws", "queue_deleted_recently"]),
    },
    Alias {
        names: &["SERVICES"],
        image: LOCALSTACK,
        sets: "",
        help: "SQS is always there; a service that is not there is named in the log.",
        read: services,
    },
    Alias {
        names: &["PERSISTENCE"],
        image: LOCALSTACK,
        sets: "",
        help: "Data is always kept; `0` is named in the log.",
        read: persistence,
    },
    Alias {
        names: &["AWS_DEFAULT_REGION", "DEFAULT_REGION"],
        image: LOCALSTACK,
        sets: "",
        help: "Every region is served: a client's own counts.",
        read: holds_already,
    },
    Alias {
        names: &["LOCALSTACK_AUTH_TOKEN", "LOCALSTACK_API_KEY"],
        image: LOCALSTACK,
        sets: "",
        help: "no account is needed",
        read: unused,
    },
];

/// The value of a variable with or without the prefix, and the name that has it.
fn value<'a>(reader: &Reader<'a>, name: &str) -> Option<(String, &'a str)> {
    [name.to_owned(), format!("{PREFIX}{name}")]
        .into_iter()
        .find_map(|name| reader.value(&name).map(|value| (name, value)))
}

/// A switch as LocalStack writes it; anything else is neither.
fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn switch(reader: &mut Reader<'_>, alias: &Alias, path: &[&str]) {
    for name in alias.names {
        if let Some((name, text)) = value(reader, name) {
            let text = truth(text).map_or(text.to_owned(), |is_on| is_on.to_string());
            reader.set(&name, path, text);
        }
    }
}

fn gateway(reader: &mut Reader<'_>, _: &Alias) {
    if let Some((name, text)) = value(reader, "GATEWAY_LISTEN") {
        let (tls, plain): (Vec<_>, Vec<_>) = text
            .split(',')
            .map(|part| with_port(part.trim()))
            .partition(|(_, port)| port == TLS_PORT);
        if !tls.is_empty() {
            reader.leave(&name, "port 443 would have to speak TLS");
        }
        let plain: Vec<_> = plain
            .iter()
            .map(|(host, port)| format!("{host}:{port}"))
            .collect();
        if !plain.is_empty() {
            reader.set(&name, &["listeners", "aws"], plain.join(","));
        }
    } else if let Some((name, port)) = value(reader, "EDGE_PORT") {
        let text = moved(&reader.config.listeners.aws, None, Some(port));
        reader.set(&name, &["listeners", "aws"], text);
    }
}

/// `host:port`, `host`, `:port` or `port`: the port is the gateway's, the host every interface.
fn with_port(text: &str) -> (String, String) {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, port),
        None if is_port(text) => ("", text),
        Some(_) | None => (text, GATEWAY_PORT),
    };
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    (host.to_owned(), port.to_owned())
}

fn public_url(reader: &mut Reader<'_>, _: &Alias) {
    let strategy = value(reader, "SQS_ENDPOINT_STRATEGY");
    match &strategy {
        Some((name, "dynamic")) => {
            reader.set(name, &["aws", "public_url"], "");
            return;
        }
        Some((_, "off")) | None => {}
        Some((name, other)) => {
            let why = format!("queue URLs are host/account/name here, never as with '{other}'");
            reader.leave(name, why);
        }
    }
    let host = reader
        .value("LOCALSTACK_HOST")
        .map(|host| ("LOCALSTACK_HOST".to_owned(), host))
        .or_else(|| value(reader, "HOSTNAME_EXTERNAL"));
    let Some((name, text)) = host else {
        return;
    };
    let is_tls = value(reader, "USE_SSL").and_then(|(_, text)| truth(text)) == Some(true);
    let scheme = if is_tls { "https" } else { "http" };
    let url = if text.contains(':') {
        format!("{scheme}://{text}")
    } else {
        format!("{scheme}://{text}:{}", gateway_port(reader))
    };
    reader.set(&name, &["aws", "public_url"], url);
}

/// The port that a host without one means: that of the gateway's first address.
fn gateway_port(reader: &Reader<'_>) -> String {
    let listen = value(reader, "GATEWAY_LISTEN")
        .and_then(|(_, text)| text.split(',').next())
        .map(|first| with_port(first).1);
    let edge = || value(reader, "EDGE_PORT").map(|(_, port)| port.to_owned());
    let ours = || {
        let first = reader.config.listeners.aws.first()?;
        Some(first.socket.port().to_string())
    };
    listen
        .or_else(edge)
        .or_else(ours)
        .unwrap_or_else(|| GATEWAY_PORT.to_owned())
}

fn log_level(reader: &mut Reader<'_>, _: &Alias) {
    if let Some((name, text)) = value(reader, "LS_LOG") {
        match LEVELS.iter().find(|(level, _)| *level == text) {
            Some((_, level)) => reader.set(&name, &["log", "level"], *level),
            None => reader.leave(&name, "it is none of the levels of LocalStack"),
        }
    } else if let Some((name, text)) = value(reader, "DEBUG")
        // Programs of all kinds read this name: what is no switch was not meant for us.
        && truth(text) == Some(true)
    {
        reader.set(&name, &["log", "level"], "debug");
    }
}

fn services(reader: &mut Reader<'_>, _: &Alias) {
    let Some((name, text)) = value(reader, "SERVICES") else {
        return;
    };
    // Older versions took a port behind each name.
    let asked = text
        .split(',')
        .map(|part| part.split(':').next().unwrap_or_default().trim());
    let absent: Vec<_> = asked
        .filter(|service| !service.is_empty() && !SERVICES.contains(service))
        .collect();
    if !absent.is_empty() {
        let why = format!("not in this version: {}", absent.join(", "));
        reader.leave(&name, why);
    }
}

fn persistence(reader: &mut Reader<'_>, _: &Alias) {
    if let Some((name, text)) = value(reader, "PERSISTENCE")
        && truth(text) == Some(false)
    {
        reader.leave(&name, "what was confirmed is on the disk always");
    }
}
