//! What every request of the gateway needs: the broker, its directory, its clock, and who is asking.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::auth::AccessKey;
use crate::auth::Action;
use crate::auth::Auth;
use crate::auth::Identity;
use crate::aws::config::AwsConfig;
use crate::aws::config::CredentialsMode;
use crate::aws::config::DEFAULT_ACCOUNT;
use crate::aws::sigv4::Credential;
use crate::aws::sqs::address::is_account;
use crate::aws::sqs::recent::Recent;
use crate::aws::wire::AwsError;
use crate::aws::wire::error::ACCESS_DENIED;
use crate::core::Core;
use crate::telemetry::Protocol;
use crate::transport::Clock;
use crate::transport::Limits;
use crate::transport::Runtime;

/// Memory for large request bodies and what is made from them, over all connections, in KiB: 64 MiB. A
/// request that finds none left waits, so many senders cannot take more.
const BODY_MEMORY_KIB: u32 = 64 * 1024;

/// What a log line shows of an access key id that may be anything.
pub(in crate::aws) const KEY_SHOWN_BYTES: usize = 128;

/// The gateway's context, shared by all connections.
pub struct Gateway {
    /// The broker.
    pub core: Core,
    /// Users, keys and permissions.
    pub auth: Arc<Auth>,
    /// The time.
    pub clock: Arc<Clock>,
    /// The section `aws`.
    pub config: AwsConfig,
    /// Starts tasks, and ends long polls and connections at shutdown.
    pub runtime: Runtime,
    /// Deletes and purges of the last minute.
    pub recent: Recent,
    /// Time for a connection's first verified request.
    pub login_timeout: Duration,
    pub(in crate::aws) body_memory: Arc<Semaphore>,
}

/// Who sends a request, and where it goes.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user behind the key; `None` when any credentials are good.
    pub identity: Option<Identity>,
    /// The access key id as sent.
    pub key_id: String,
    /// The account that the key works in.
    pub account: String,
    /// The virtual host that the account is.
    pub vhost: String,
    /// Region of the credential scope.
    pub region: String,
    /// What queue URLs begin with.
    pub base_url: String,
}

impl Gateway {
    /// The gateway of a broker.
    #[must_use]
    pub fn new(
        core: Core,
        auth: Arc<Auth>,
        clock: Arc<Clock>,
        config: AwsConfig,
        runtime: Runtime,
    ) -> Self {
        if config.credentials == CredentialsMode::Any {
            tracing::warn!(
                "aws.credentials = \"any\": requests are not verified, every key is good"
            );
        }
        let recent = Recent::new(&config);
        Self {
            core,
            auth,
            clock,
            config,
            runtime,
            recent,
            login_timeout: Limits::LOGIN_TIMEOUT,
            body_memory: Arc::new(Semaphore::new(BODY_MEMORY_KIB as usize)),
        }
    }

    /// What a signature of this key is checked with, and the key itself.
    pub(in crate::aws) fn credential(
        &self,
        id: &str,
        peer: IpAddr,
    ) -> Option<(Arc<AccessKey>, Credential)> {
        match self.auth.access_key(id, peer) {
            Ok(key) => {
                let secret = Zeroizing::new(key.secret.expose().to_vec());
                Some((
                    key,
                    Credential {
                        secret,
                        session_token: None,
                    },
                ))
            }
            Err(error) => {
                let key = cut(id, KEY_SHOWN_BYTES);
                tracing::warn!(%peer, key, reason = error.reason(), "access key refused");
                None
            }
        }
    }

    /// The caller behind a key that was verified.
    pub(in crate::aws) fn caller(
        &self,
        key: &AccessKey,
        region: &str,
        base_url: String,
    ) -> Result<Caller, AwsError> {
        let denied = || AwsError::new(&ACCESS_DENIED, "The access key leads to no account.");
        let identity = self.auth.identity_of(key).map_err(|_| denied())?;
        let account = self
            .config
            .account_of(&key.vhost, region)
            .ok_or_else(denied)?;
        Ok(Caller {
            identity: Some(identity),
            key_id: key.id.clone(),
            account: account.to_owned(),
            vhost: key.vhost.clone(),
            region: region.to_owned(),
            base_url,
        })
    }

    /// The caller of a request whose credentials are not looked at: a key id of 12 digits is the account.
    pub(in crate::aws) fn anybody(&self, key_id: &str, region: &str, base_url: String) -> Caller {
        let account = if is_account(key_id) {
            key_id
        } else {
            DEFAULT_ACCOUNT
        };
        Caller {
            identity: None,
            key_id: key_id.to_owned(),
            account: account.to_owned(),
            vhost: self
                .config
                .vhost_of(account, region)
                .unwrap_or("/")
                .to_owned(),
            region: region.to_owned(),
            base_url,
        }
    }

    /// Asks whether the caller may do this to a queue.
    ///
    /// # Errors
    /// `AccessDenied`, in IAM's words.
    pub fn permit(
        &self,
        caller: &Caller,
        vhost: &str,
        action: Action,
        name: &str,
        operation: &str,
    ) -> Result<(), AwsError> {
        let Some(identity) = &caller.identity else {
            return Ok(());
        };
        self.auth.permit(&identity.user, vhost, action, name).map_err(|denied| {
            self.core.metrics().permissions_denied.of(Protocol::Sqs).inc();
                tracing::debug!(%denied, operation, "permission refused");
            AwsError::new(
                &ACCESS_DENIED,
                format!(
                    "User: arn:aws:iam::{}:user/{} is not authorized to perform: sqs:{} on resource: \
                     arn:aws:sqs:{}:{}:{name} because no identity-based policy allows the sqs:{} action",
                    caller.account,
                    identity.user,
                    operation.to_ascii_lowercase(),
                    caller.region,
                    caller.account,
                    operation.to_ascii_lowercase(),
                ),
            )
        })
    }
}

/// The beginning of a text that somebody unknown sent, for a log line or an answer.
pub(in crate::aws) fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most))
        .unwrap_or_default()
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("key", 128), "key");
        assert_eq!(cut("aää", 2), "a");
        assert_eq!(cut(&"x".repeat(60_000), 128).len(), 128);
    }
}
