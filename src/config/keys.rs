//! The table of keys: each is declared here and nowhere else.
//!
//! A `*` in a path stands for a name that the user chooses.

use std::time::Duration;

use crate::auth::DefaultUsers;
use crate::auth::UserName;
use crate::aws::config::CredentialsMode;
use crate::telemetry::LogConfig;
use crate::telemetry::LogFormat;

use super::Config;
use super::named::accounts;
use super::named::key_secrets;
use super::named::key_users;
use super::named::key_vhosts;
use super::named::passwords;
use super::named::put_account;
use super::named::put_key_secret;
use super::named::put_key_user;
use super::named::put_key_vhost;
use super::named::put_password;
use super::named::put_scopes;
use super::named::put_tags;
use super::named::scopes;
use super::named::tags;
use super::number::AutoBytes;
use super::number::Bytes;
use super::number::Number;
use super::number::Time;
use super::rule::Addresses;
use super::rule::Choice;
use super::rule::Folder;
use super::rule::Hidden;
use super::rule::OptionalText;
use super::rule::Raw;
use super::rule::Rule;
use super::rule::Switch;
use super::rule::Tags;
use super::rule::Text;
use super::rule::Words;

/// A key that the configuration knows.
pub struct Key {
    /// Its place: `limits.frame_max_bytes`, or `vhosts.*.account` for any name.
    pub path: &'static str,
    /// What it does, in a sentence or two.
    pub help: &'static str,
    /// Whether its value must not be shown; such a key has a `_FILE` twin in the environment.
    pub is_secret: bool,
    /// What its value may be.
    pub allowed: fn() -> String,
    /// Sets it from a value; `None` is a bad value.
    pub(super) set: fn(&mut Config, &str, &Raw) -> Option<()>,
    /// Its values as (name, TOML).
    pub(super) get: fn(&Config) -> Vec<(String, String)>,
}

/// A key for which the configuration has exactly one value.
macro_rules! key {
    ($path:literal, $($field:ident).+, $rule:expr, $help:expr) => {
        Key {
            path: $path,
            help: $help,
            is_secret: false,
            allowed: || $rule.allowed(),
            set: |config, _, raw| {
                config.$($field).+ = $rule.read(raw)?;
                Some(())
            },
            get: |config| vec![(String::new(), $rule.print(&config.$($field).+))],
        }
    };
}

/// A key below a name: where to put its value, and all that there are.
macro_rules! named {
    ($path:literal, $secret:literal, $rule:expr, $put:expr, $all:expr, $help:expr) => {
        Key {
            path: $path,
            help: $help,
            is_secret: $secret,
            allowed: || $rule.allowed(),
            set: |config, name, raw| {
                let value = $rule.read(raw)?;
                $put(config, name, value)
            },
            get: |config| {
                $all(config)
                    .into_iter()
                    .map(|(name, value)| (name, $rule.print(&value)))
                    .collect()
            },
        }
    };
}

/// Listeners that the design names and this version doesn't serve: refused rather than ignored.
pub(super) const DOORS_TO_COME: [&str; 13] = [
    "amqps",
    "mqtt",
    "mqtts",
    "stomp",
    "stomps",
    "openwire",
    "openwires",
    "ws",
    "wss",
    "awss",
    "http",
    "https",
    "auto",
];

const ACCOUNT: OptionalText = OptionalText(Text {
    check: is_account,
    allowed: "an AWS account of 12 digits, or with one region: 111111111111/eu-west-1",
});

const URL: OptionalText = OptionalText(Text {
    check: is_base_url,
    allowed: "http:// or https:// with a host and no path, like \"http://localhost:4566\"",
});

const LEVEL: Text = Text {
    check: is_log_level,
    allowed: "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\", or directives like \"info,viaduct::aws=debug\"",
};

const VHOST: Text = Text {
    check: is_name,
    allowed: "the name of a virtual host",
};

const USER: Text = Text {
    check: is_name,
    allowed: "the name of a user",
};

const DEFAULT_USERS: Choice<DefaultUsers> = Choice(&[
    ("loopback", DefaultUsers::Loopback),
    ("anywhere", DefaultUsers::Anywhere),
    ("off", DefaultUsers::Off),
]);

/// Longest time that a limit may be set to.
const HOUR: Duration = Duration::from_secs(3600);

/// The table.
pub const KEYS: &[Key] = &[
    key!(
        "data_dir",
        data_dir,
        Folder,
        "Folder of the log, the catalog, the lock file and the control socket. One broker at a time."
    ),
    key!(
        "ready_lines",
        ready_lines,
        Switch,
        "Prints the lines that Testcontainers modules of RabbitMQ, ActiveMQ, Artemis and LocalStack wait for. On in the image."
    ),
    key!(
        "listeners.amqp",
        listeners.amqp,
        Addresses,
        "AMQP 0-9-1 without TLS."
    ),
    key!(
        "listeners.aws",
        listeners.aws,
        Addresses,
        "The AWS gateway: SQS over HTTP."
    ),
    key!(
        "listeners.metrics",
        listeners.metrics,
        Addresses,
        "Prometheus metrics at /metrics."
    ),
    key!(
        "log.format",
        log.format,
        Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
        "Form of the log on standard error."
    ),
    key!("log.level", log.level, LEVEL, "Least level that is logged."),
    key!(
        "auth.default_users",
        auth.default_users,
        DEFAULT_USERS,
        "From where user guest (password guest) and the access keys guest and test (secret as id) may log in: this machine, everywhere, or not at all. A guest with another password is an ordinary user."
    ),
    named!(
        "auth.users.*.password",
        true,
        Hidden,
        put_password,
        passwords,
        "Password of a user that exists from the start; it follows this key at every start. A new user may do everything in all virtual hosts that are configured."
    ),
    named!(
        "auth.users.*.tags",
        false,
        Tags,
        put_tags,
        tags,
        "Tags of such a user."
    ),
    named!(
        "auth.keys.*.secret",
        true,
        Hidden,
        put_key_secret,
        key_secrets,
        "Secret of an access key that exists from the start; the name is its id."
    ),
    named!(
        "auth.keys.*.user",
        false,
        USER,
        put_key_user,
        key_users,
        "The user whose permissions hold for the access key."
    ),
    named!(
        "auth.keys.*.vhost",
        false,
        VHOST,
        put_key_vhost,
        key_vhosts,
        "The virtual host that the access key leads to."
    ),
    named!(
        "vhosts.*.account",
        false,
        ACCOUNT,
        put_account,
        accounts,
        "The AWS account whose queues are those of this virtual host. Virtual host / has 000000000000."
    ),
    key!(
        "aws.credentials",
        aws.credentials,
        Choice(&[
            ("verify", CredentialsMode::Verify),
            ("any", CredentialsMode::Any)
        ]),
        "Whether signatures are verified, or any key will do as with an emulator; then a key of 12 digits selects the account. Never use \"any\" on a network that others can reach."
    ),
    key!(
        "aws.public_url",
        aws.public_url,
        URL,
        "Base of the queue URLs that clients are given. Empty takes the Host of the request, which is right unless something on the way rewrites it."
    ),
    key!(
        "aws.max_request_bytes",
        aws.max_request_bytes,
        Bytes::<u64> {
            range: 64 << 10..=64 << 20
        },
        "Largest body of a request: a form writes a byte of a message as up to three characters, JSON as up to six."
    ),
    key!(
        "aws.queue_deleted_recently",
        aws.queue_deleted_recently,
        Switch,
        "Refuses to create a queue for 60 seconds after one of its name was deleted, as AWS does."
    ),
    key!(
        "aws.purge_in_progress",
        aws.purge_in_progress,
        Switch,
        "Refuses a second PurgeQueue within 60 seconds, as AWS does."
    ),
    named!(
        "aws.scopes.*",
        false,
        Words,
        put_scopes,
        scopes,
        "Other service names that the signatures for this service may carry."
    ),
    key!(
        "limits.frame_max_bytes",
        limits.frame_max_bytes,
        Bytes::<u32> {
            range: 4096..=16 << 20
        },
        "Largest AMQP frame; clients may ask for less."
    ),
    key!(
        "limits.channels_max",
        limits.channels_max,
        Number::<u16> {
            range: 1..=u16::MAX
        },
        "Channels per AMQP connection; clients may ask for less."
    ),
    key!(
        "limits.heartbeat",
        limits.heartbeat,
        Time {
            range: Duration::ZERO..=HOUR
        },
        "Heartbeat that AMQP connections are offered; zero offers none."
    ),
    key!(
        "limits.message_max_bytes",
        limits.message_max_bytes,
        Bytes::<u64> {
            range: 1024..=512 << 20
        },
        "Largest body of a message."
    ),
    key!(
        "limits.before_login_max_bytes",
        limits.before_login_max_bytes,
        Bytes::<u32> {
            range: 4096..=1 << 20
        },
        "Bytes that a connection may send before it has logged in."
    ),
    key!(
        "limits.login_timeout",
        limits.login_timeout,
        Time {
            range: Duration::from_millis(100)..=HOUR
        },
        "Time from the connect to the end of the login."
    ),
    key!(
        "limits.connections_max",
        limits.connections_max,
        Number::<u32> {
            range: 1..=1_000_000
        },
        "Client connections at a time, all listeners together; what is above is closed at once."
    ),
    key!(
        "limits.memory_budget",
        limits.memory_budget_bytes,
        AutoBytes(Bytes::<u64> {
            range: 16 << 20..=1 << 40
        }),
        "Memory that messages may take before publishers wait. \"auto\" is 40 % of the memory of the machine or cgroup, and at most 2 GiB."
    ),
    key!(
        "limits.message_cache",
        limits.message_cache_bytes,
        AutoBytes(Bytes::<u64> {
            range: 64 << 10..=1 << 40
        }),
        "Memory that messages may take before deep queues keep on disk alone what is not taken next. \"auto\" is a quarter of limits.memory_budget, and at most 256 MiB."
    ),
    key!(
        "limits.disk_free_floor",
        limits.disk_free_floor_bytes,
        Bytes::<u64> { range: 0..=1 << 40 },
        "Free disk space below which publishers wait."
    ),
    key!(
        "limits.shutdown_timeout",
        limits.shutdown_timeout,
        Time {
            range: Duration::from_millis(100)..=HOUR
        },
        "Longest time from SIGTERM to the end, however many clients don't leave."
    ),
];

fn is_account(text: &str) -> bool {
    let (account, region) = text.split_once('/').unwrap_or((text, "any"));
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) && !region.is_empty()
}

fn is_base_url(text: &str) -> bool {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    host.map(|host| host.strip_suffix('/').unwrap_or(host))
        .is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']))
}

fn is_log_level(text: &str) -> bool {
    LogConfig {
        level: text.to_owned(),
        ..LogConfig::default()
    }
    .check()
    .is_ok()
}

pub(super) fn is_name(text: &str) -> bool {
    UserName::parse(text).is_ok()
}
