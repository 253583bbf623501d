//! The section `aws` of the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// Largest request body in bytes. A message is at most 1 MiB, but a form writes a byte as up to three
/// characters and JSON a control character as six, and attributes travel in base64.
const DEFAULT_MAX_REQUEST_BYTES: u64 = 6 * 1024 * 1024 + 256 * 1024;
/// The account of the virtual host `/`, as in every emulator.
pub const DEFAULT_ACCOUNT: &str = "000000000000";
/// The region that ARNs show when a request has none.
pub const DEFAULT_REGION: &str = "us-east-1";

/// Whether signatures are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialsMode {
    /// Every request must be signed with a known key.
    #[default]
    Verify,
    /// Any key is good, signed or not; one of 12 digits is the account. For emulator use only.
    Any,
}

/// The section `aws`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AwsConfig {
    /// Whether signatures are checked.
    pub credentials: CredentialsMode,
    /// Virtual hosts by account, or by `account/region`. `000000000000` is `/` unless it stands here.
    pub accounts: BTreeMap<String, String>,
    /// What queue URLs begin with. Without it: what the request's Host header says, because that is
    /// what the client can reach.
    pub public_url: Option<String>,
    /// More service names that a credential scope may have, by service: `sqs = ["sns"]`.
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Largest request body in bytes.
    pub max_request_bytes: u64,
    /// Whether a queue's name is barred for 60 seconds after DeleteQueue, as in AWS.
    pub queue_deleted_recently: bool,
    /// Whether a second PurgeQueue within 60 seconds is refused, as in AWS.
    pub purge_in_progress: bool,
}

impl Default for AwsConfig {
    fn default() -> Self {
        Self {
            credentials: CredentialsMode::Verify,
            accounts: BTreeMap::new(),
            public_url: None,
            scopes: BTreeMap::new(),
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            queue_deleted_recently: false,
            purge_in_progress: false,
        }
    }
}

impl AwsConfig {
    /// The virtual host of an account in a region.
    #[must_use]
    pub fn vhost_of(&self, account: &str, region: &str) -> Option<&str> {
        let exact = self.accounts.get(&format!("{account}/{region}"));
        if let Some(vhost) = exact.or_else(|| self.accounts.get(account)) {
            return Some(vhost);
        }
        let is_any = self.credentials == CredentialsMode::Any;
        (is_any || account == DEFAULT_ACCOUNT).then_some("/")
    }

    /// The account that shows a virtual host in a region.
    #[must_use]
    pub fn account_of(&self, vhost: &str, region: &str) -> Option<&str> {
        // What another entry leads elsewhere in this region does not show it.
        let leads_back = |account: &&str| self.vhost_of(account, region) == Some(vhost);
        self.accounts
            .iter()
            .filter(|(_, v)| *v == vhost)
            .filter_map(|(key, _)| match key.split_once('/') {
                Some((account, of)) => (of == region).then_some(account),
                None => Some(key.as_str()),
            })
            .chain((vhost == "/").then_some(DEFAULT_ACCOUNT))
            .find(leads_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_lead_to_virtual_hosts_and_back() {
        let mut config = AwsConfig::default();
        config
            .accounts
            .insert("111111111111".to_owned(), "one".to_owned());
        config
            .accounts
            .insert("222222222222/eu-west-1".to_owned(), "two".to_owned());
        assert_eq!(config.vhost_of(DEFAULT_ACCOUNT, "x"), Some("/"));
        assert_eq!(config.vhost_of("111111111111", "x"), Some("one"));
        assert_eq!(config.vhost_of("222222222222", "eu-west-1"), Some("two"));
        assert_eq!(config.vhost_of("222222222222", "x"), None);
        assert_eq!(config.account_of("/", "x"), Some(DEFAULT_ACCOUNT));
        assert_eq!(config.account_of("one", "x"), Some("111111111111"));
        assert_eq!(config.account_of("two", "x"), None);
        assert_eq!(config.account_of("three", "x"), None);
    }

    #[test]
    fn an_account_that_a_region_leads_elsewhere_does_not_show_the_vhost() {
        let mut config = AwsConfig::default();
        for (account, vhost) in [("111111111111", "one"), ("111111111111/eu-west-1", "two")] {
            config.accounts.insert(account.to_owned(), vhost.to_owned());
        }
        assert_eq!(config.account_of("one", "x"), Some("111111111111"));
        assert_eq!(config.account_of("one", "eu-west-1"), None);
        assert_eq!(config.account_of("two", "eu-west-1"), Some("111111111111"));
    }

    #[test]
    fn with_any_credentials_every_account_that_is_not_configured_is_the_default_vhost() {
        let mut config = AwsConfig {
            credentials: CredentialsMode::Any,
            ..AwsConfig::default()
        };
        config
            .accounts
            .insert("111111111111".to_owned(), "one".to_owned());
        assert_eq!(config.vhost_of("333333333333", "x"), Some("/"));
        assert_eq!(config.vhost_of("111111111111", "x"), Some("one"));
    }
}
