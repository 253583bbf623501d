//! Names that the images of RabbitMQ and Artemis know.

use super::Alias;
use super::GUEST;
use super::LOGIN;
use super::reader::Reader;
use super::reader::moved;
use super::reader::unused;
use crate::config::rule::Raw;

const RABBITMQ: &str = "RabbitMQ";

/// Levels of RabbitMQ's log and ours.
const LEVELS: [(&str, &str); 7] = [
    ("debug", "debug"),
    ("info", "info"),
    ("notice", "info"),
    ("warning", "warn"),
    ("error", "error"),
    ("critical", "error"),
    ("none", "off"),
];

pub(super) const ALIASES: &[Alias] = &[
    Alias {
        names: &["RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"],
        image: RABBITMQ,
        sets: LOGIN,
        help: "A user with the tag administrator. Another name than guest takes the place of guest and of the access keys guest and test, also on a data dir that has them; without a name it is guest, with this password an ordinary user. Each may be a `_FILE`.",
        read: |reader, _| reader.login("RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS", GUEST),
    },
    Alias {
        names: &["RABBITMQ_DEFAULT_VHOST"],
        image: RABBITMQ,
        sets: "vhosts.<name>",
        help: "A virtual host beside /. It has no AWS account, so no SQS until `vhosts.<name>.account` is set.",
        read: vhost,
    },
    Alias {
        names: &["RABBITMQ_NODE_PORT", "RABBITMQ_NODE_IP_ADDRESS"],
        image: RABBITMQ,
        sets: "listeners.amqp",
        help: "Another port, another address of the listener. What is no port number is named in the log: Kubernetes sets such names for its services.",
        read: node_address,
    },
    Alias {
        names: &["RABBITMQ_LOG"],
        image: RABBITMQ,
        sets: "log.level",
        help: "The level, if it is one word.",
        read: log_level,
    },
    Alias {
        names: &["RABBITMQ_NODENAME", "RABBITMQ_ERLANG_COOKIE"],
        image: RABBITMQ,
        sets: "",
        help: "there are no nodes with names and cookies, and the data dir is not named after one",
        read: unused,
    },
    Alias {
        names: &[
            "RABBITMQ_CONFIG_FILE",
            "RABBITMQ_CONFIG_FILES",
            "RABBITMQ_ADVANCED_CONFIG_FILE",
        ],
        image: RABBITMQ,
        sets: "",
        help: "files of RabbitMQ's own form are not read: --config and VIADUCT_CONFIG name ours",
        read: unused,
    },
    Alias {
        names: &["RABBITMQ_PLUGINS", "RABBITMQ_ENABLED_PLUGINS_FILE"],
        image: RABBITMQ,
        sets: "",
        help: "there are no plugins: a door is on when its listener has an address",
        read: unused,
    },
    Alias {
        names: &["RABBITMQ_MNESIA_BASE", "RABBITMQ_MNESIA_DIR"],
        image: RABBITMQ,
        sets: "",
        help: "the key data_dir says where the data is",
        read: unused,
    },
    Alias {
        names: &["RABBITMQ_VM_MEMORY_HIGH_WATERMARK"],
        image: RABBITMQ,
        sets: "",
        help: "the key limits.memory_budget says how much memory messages may take",
        read: unused,
    },
    Alias {
        names: &["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"],
        image: RABBITMQ,
        sets: "",
        help: "there is no Erlang",
        read: unused,
    },
    Alias {
        names: &[
            "RABBITMQ_SSL_CACERTFILE",
            "RABBITMQ_SSL_CERTFILE",
            "RABBITMQ_SSL_KEYFILE",
        ],
        image: RABBITMQ,
        sets: "",
        help: "TLS is not served yet in this version",
        read: unused,
    },
    Alias {
        names: &["ARTEMIS_USER", "ARTEMIS_PASSWORD"],
        image: "Artemis",
        sets: LOGIN,
        help: "As RabbitMQ's; without a name it is artemis.",
        read: |reader, _| reader.login("ARTEMIS_USER", "ARTEMIS_PASSWORD", "artemis"),
    },
];

fn vhost(reader: &mut Reader<'_>, _: &Alias) {
    let name = "RABBITMQ_DEFAULT_VHOST";
    if let Some(vhost) = reader.value(name) {
        reader.put(name, &["vhosts", vhost], Raw::Other("table"));
        reader.taken.vhost = Some(vhost.to_owned());
    }
}

fn node_address(reader: &mut Reader<'_>, _: &Alias) {
    let path = ["listeners", "amqp"];
    let addresses = &reader.config.listeners.amqp;
    let name = "RABBITMQ_NODE_IP_ADDRESS";
    let host = reader.value(name).map(bracketed);
    if let Some(host) = &host {
        reader.set(name, &path, moved(addresses, Some(host), None));
    }
    let name = "RABBITMQ_NODE_PORT";
    let port = reader.value(name).and_then(|text| reader.port(name, text));
    if let Some(port) = port {
        let text = moved(addresses, host.as_deref(), Some(port));
        reader.set(name, &path, text);
    }
}

/// An address before its port: version 6 has colons of its own.
fn bracketed(host: &str) -> String {
    let is_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    if is_v6 {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn log_level(reader: &mut Reader<'_>, _: &Alias) {
    let name = "RABBITMQ_LOG";
    let Some(text) = reader.value(name) else {
        return;
    };
    match LEVELS.iter().find(|(level, _)| *level == text) {
        Some((_, level)) => reader.set(name, &["log", "level"], *level),
        None => reader.leave(
            name,
            "it says more than a level: the key log.level takes directives",
        ),
    }
}
