//! The configuration: where it comes from, what it may say, what is wrong with it.
//!
//! A section's struct lives in the layer that it configures; [`Config`] composes them, and
//! [`keys::KEYS`] declares every key once: its place, rule and meaning. The sample file, the
//! reference page and `config print` are made from that table.

mod address;
mod alias;
mod error;
mod file;
pub mod keys;
mod loaded;
mod named;
mod nearest;
mod number;
mod pages;
mod path;
mod print;
mod rule;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::auth::AuthConfig;
use crate::aws::config::AwsConfig;
use crate::telemetry::LogConfig;
use crate::transport::Limits;
use crate::transport::ListenAddress;

pub use alias::Rank;
pub use alias::Unused;
pub use alias::Used;
pub use error::ConfigError;
pub use error::Problem;
pub use loaded::Loaded;
pub use pages::reference;
pub use pages::sample;
pub use print::changed_keys;
pub use print::effective;
pub use source::Origin;
pub use source::Sources;

/// Everything that can be configured, with the defaults for what nobody set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Folder of the log, the catalog, the lock and the control socket.
    pub data_dir: PathBuf,
    /// Whether to print the lines that Testcontainers modules wait for.
    pub ready_lines: bool,
    /// Where each door listens.
    pub listeners: Listeners,
    /// The log.
    pub log: LogConfig,
    /// Users, keys, and who may come from where.
    pub auth: AuthConfig,
    /// Virtual hosts by name; `/` always exists.
    pub vhosts: BTreeMap<String, Vhost>,
    /// The AWS doors.
    pub aws: AwsConfig,
    /// What clients may take.
    pub limits: Limits,
}

/// Where each door listens; empty is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// AMQP 0-9-1, plain.
    pub amqp: Vec<ListenAddress>,
    /// The AWS gateway, plain HTTP.
    pub aws: Vec<ListenAddress>,
    /// The metrics endpoint, plain HTTP.
    pub metrics: Vec<ListenAddress>,
}

/// A virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vhost {
    /// The AWS account that its queues belong to: 12 digits, or `account/region` for one region
    /// only. Without one, AWS clients cannot reach it.
    pub account: Option<String>,
}

/// The data dir when nobody says otherwise: beside where the broker was started.
const DATA_DIR: &str = "./data";

/// The virtual host that always exists, and its account.
const DEFAULT_VHOST: (&str, &str) = ("/", "000000000000");

/// AMQP's registered port.
const AMQP_PORT: u16 = 5672;

/// The port that emulators of AWS have settled on.
const AWS_PORT: u16 = 4566;

/// The port of RabbitMQ's metrics, where scrapers look.
const METRICS_PORT: u16 = 15692;

impl Default for Config {
    fn default() -> Self {
        let (vhost, account) = DEFAULT_VHOST;
        Self {
            data_dir: PathBuf::from(DATA_DIR),
            ready_lines: false,
            listeners: Listeners::default(),
            log: LogConfig::default(),
            auth: AuthConfig::default(),
            vhosts: BTreeMap::from([(
                vhost.to_owned(),
                Vhost {
                    account: Some(account.to_owned()),
                },
            )]),
            aws: AwsConfig::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            amqp: address::localhost(AMQP_PORT),
            aws: address::localhost(AWS_PORT),
            metrics: address::localhost(METRICS_PORT),
        }
    }
}

impl Config {
    /// Names of all virtual hosts.
    pub fn vhost_names(&self) -> Vec<String> {
        self.vhosts.keys().cloned().collect()
    }

    /// The section `aws` with the accounts of all virtual hosts.
    pub fn aws_gateway(&self) -> AwsConfig {
        let of = |(name, vhost): (&String, &Vhost)| Some((vhost.account.clone()?, name.clone()));
        let accounts = self.vhosts.iter().filter_map(of);
        AwsConfig {
            accounts: accounts.collect(),
            ..self.aws.clone()
        }
    }
}
