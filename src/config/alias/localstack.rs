//! Names that LocalStack's image knows. Each may also begin with `LOCALSTACK_`, as there.

use super::Alias;
use super::reader::Reader;
use super::reader::holds_already;
use super::reader::moved;
use super::reader::port_number;
use super::reader::unused;

pub(super) const LOCALSTACK: &str = "LocalStack";

/// Before any of its names.
pub(super) const PREFIX: &str = "LOCALSTACK_";

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
        help: "The addresses, or the port alone: then the host stays. Port 443 is left out, it would have to speak TLS. An `EDGE_PORT` that is no port number is named in the log: Kubernetes sets such names for its services.",
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

/// The value of a variable with or without the prefix, and the name that has it. With it wins: the
/// image's entry point exports that over the other.
fn value<'a>(reader: &Reader<'a>, name: &str) -> Option<(String, &'a str)> {
    values(reader, name).into_iter().next()
}

/// Both values, the one that wins first.
fn values<'a>(reader: &Reader<'a>, name: &str) -> Vec<(String, &'a str)> {
    let names = [format!("{PREFIX}{name}"), name.to_owned()];
    let found = |name: String| reader.value(&name).map(|value| (name, value));
    names.into_iter().filter_map(found).collect()
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
    let path = ["listeners", "aws"];
    let addresses = &reader.config.listeners.aws;
    let edge = values(reader, "EDGE_PORT");
    let Some((name, text)) = value(reader, "GATEWAY_LISTEN") else {
        for (name, text) in edge {
            if let Some(port) = reader.port(&name, text) {
                reader.set(&name, &path, moved(addresses, None, Some(port)));
                break;
            }
        }
        return;
    };
    for (edge, _) in edge {
        reader.leave(&edge, format!("{name} says it, too"));
    }
    let (tls, kept): (Vec<_>, Vec<_>) = parts(text).partition(|(_, port)| *port == TLS_PORT);
    if !tls.is_empty() {
        reader.leave(&name, "port 443 would have to speak TLS");
    } else if kept.is_empty() {
        reader.leave(&name, "it names no address");
    }
    let kept: Vec<_> = kept
        .iter()
        .map(|(host, port)| match host {
            Some(host) => format!("{host}:{port}"),
            None => moved(addresses, None, Some(port)),
        })
        .filter(|text| !text.is_empty())
        .collect();
    if !kept.is_empty() {
        reader.set(&name, &path, kept.join(","));
    }
}

/// The addresses of a list, as host and port: `host:port`, `host`, `:port` or `port`. A port that is
/// missing is the gateway's; a host that is missing stays as it is, or a broker on a desk would be
/// open to the network by a port alone.
fn parts(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(|part| {
        let (host, port) = match part.rsplit_once(':') {
            Some((host, port)) if port_number(port).is_some() => (host, port),
            None if port_number(part).is_some() => ("", part),
            Some(_) | None => (part, GATEWAY_PORT),
        };
        (Some(host).filter(|host| !host.is_empty()), port)
    })
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
    let is_tls = value(reader, "USE_SSL").filter(|(_, text)| truth(text) == Some(true));
    let external = value(reader, "HOSTNAME_EXTERNAL");
    let host = match (reader.value("LOCALSTACK_HOST"), external) {
        (Some(host), external) => {
            if let Some((name, _)) = external {
                reader.leave(&name, "LOCALSTACK_HOST says it, too");
            }
            Some(("LOCALSTACK_HOST".to_owned(), host))
        }
        (None, external) => external,
    };
    let Some((name, text)) = host else {
        if let Some((name, _)) = is_tls {
            reader.leave(
                &name,
                "it needs LOCALSTACK_HOST: queue URLs follow the request",
            );
        }
        return;
    };
    let scheme = if is_tls.is_some() { "https" } else { "http" };
    let url = if text.contains(':') {
        format!("{scheme}://{text}")
    } else {
        format!("{scheme}://{text}:{}", gateway_port(reader))
    };
    let names = is_tls.map(|(name, _)| name).into_iter().chain([name]);
    for name in names {
        reader.set(&name, &["aws", "public_url"], url.clone());
    }
}

/// The port that a host without one means: that of the gateway's first address that is served.
fn gateway_port(reader: &Reader<'_>) -> String {
    let listen = value(reader, "GATEWAY_LISTEN").and_then(|(_, text)| {
        let mut kept = parts(text).filter(|(_, port)| *port != TLS_PORT);
        Some(kept.next()?.1)
    });
    let edge = || {
        let mut values = values(reader, "EDGE_PORT").into_iter();
        values.find_map(|(_, text)| port_number(text))
    };
    let ours = || {
        let first = reader.config.listeners.aws.first()?;
        Some(first.socket.port().to_string())
    };
    listen
        .or_else(edge)
        .map(str::to_owned)
        .or_else(ours)
        .unwrap_or_else(|| GATEWAY_PORT.to_owned())
}

fn log_level(reader: &mut Reader<'_>, _: &Alias) {
    if let Some((name, text)) = value(reader, "LS_LOG") {
        let word = text.trim().to_lowercase();
        if let Some((_, level)) = LEVELS.iter().find(|(level, _)| *level == word) {
            reader.set(&name, &["log", "level"], *level);
            return;
        }
        reader.leave(&name, "it is none of the levels of LocalStack");
    }
    if let Some((name, text)) = value(reader, "DEBUG")
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
