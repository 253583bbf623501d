//! What every operation needs: who asks, where queues are, and when an answer may be given.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::address::QueueAddress;
use super::errors;
use super::types::required;
use crate::auth::Action;
use crate::aws::gateway::Caller;
use crate::aws::gateway::Gateway;
use crate::aws::wire::AwsError;
use crate::aws::wire::error::INTERNAL_FAILURE;
use crate::aws::wire::error::SERVICE_UNAVAILABLE;
use crate::core::Core;
use crate::core::error::CoreError;
use crate::core::inbox::Inbox;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::topology::Vhost;

/// One operation of one caller.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) caller: &'a Caller,
    pub(super) operation: &'a str,
}

/// A queue that was found, and by which address.
pub(super) struct Found {
    pub(super) address: QueueAddress,
    pub(super) vhost: Arc<Vhost>,
    pub(super) queue: Arc<Queue>,
}

impl<'a> Context<'a> {
    pub(super) fn core(&self) -> &'a Core {
        &self.gateway.core
    }

    pub(super) fn now(&self) -> CoreTime {
        CoreTime::from_ms(self.gateway.clock.now_ms())
    }

    /// The address of a name in the caller's account.
    pub(super) fn own(&self, name: &str) -> QueueAddress {
        QueueAddress {
            account: self.caller.account.clone(),
            name: name.to_owned(),
        }
    }

    pub(super) fn url(&self, address: &QueueAddress) -> String {
        address.to_url(&self.caller.base_url)
    }

    /// The vhost of an account. An account that is none's has no queues, nor has one that is another
    /// vhost than the caller's key: a user's permissions elsewhere are for its keys there.
    pub(super) fn vhost(&self, account: &str) -> Result<Arc<Vhost>, AwsError> {
        let name = self.gateway.config.vhost_of(account, &self.caller.region);
        let name = name
            .filter(|name| self.caller.identity.is_none() || *name == self.caller.vhost)
            .ok_or_else(errors::no_such_queue)?;
        self.core().vhost(name).map_err(|error| refusal(&error))
    }

    /// Finds the queue of a URL, if the caller may do this to it.
    pub(super) fn queue(&self, url: Option<String>, action: Action) -> Result<Found, AwsError> {
        let address = QueueAddress::from_url(&required(url, "QueueUrl")?)?;
        self.find(address, &[action])
    }

    /// Finds a queue, if the caller may do one of these to it. Permission is asked first, so that a
    /// caller without it does not learn which queues there are.
    pub(super) fn find(
        &self,
        address: QueueAddress,
        actions: &[Action],
    ) -> Result<Found, AwsError> {
        let vhost = self.vhost(&address.account)?;
        self.permit_any(&vhost, actions, &address.name)?;
        let queue = vhost
            .queue(&address.name)
            .map_err(|error| refusal(&error))?;
        Ok(Found {
            address,
            vhost,
            queue,
        })
    }

    pub(super) fn permit_any(
        &self,
        vhost: &Vhost,
        actions: &[Action],
        name: &str,
    ) -> Result<(), AwsError> {
        let mut result = Ok(());
        for action in actions {
            result = self.gateway.permit(
                self.caller,
                vhost.name().as_str(),
                *action,
                name,
                self.operation,
            );
            if result.is_ok() {
                return result;
            }
        }
        result
    }

    /// Waits until a record is on disk: every positive answer is a promise (DESIGN §2 rule 1).
    pub(super) async fn written(&self, lsn: Option<Lsn>) -> Result<(), AwsError> {
        let Some(lsn) = lsn else {
            return Ok(());
        };
        let inbox = Inbox::new();
        loop {
            match self.core().watermark(lsn.shard()) {
                mark if mark.covers(lsn) => return Ok(()),
                Watermark::Failed => return Err(refusal(&CoreError::LogFailed)),
                Watermark::Durable(_) => {
                    self.core().wait(lsn, &inbox);
                    inbox.next().await;
                }
            }
        }
    }

    /// Waits until the log of a shard has written something more.
    pub(super) async fn progress(&self, shard: Shard) -> Result<(), AwsError> {
        match self.core().watermark(shard) {
            Watermark::Failed => Err(refusal(&CoreError::LogFailed)),
            Watermark::Durable(upto) => self.written(Lsn::new(shard, upto.saturating_add(1))).await,
        }
    }

    /// Refuses what would take memory or disk while there is an alarm; consumers go on.
    pub(super) fn check_alarms(&self) -> Result<(), AwsError> {
        if self.core().alarms().any() {
            return Err(AwsError::new(
                &SERVICE_UNAVAILABLE,
                "The broker is out of memory or disk space; try again later.",
            ));
        }
        Ok(())
    }
}

/// Turns an operation's answer into the neutral value.
pub(super) fn answer(answer: impl Serialize) -> Result<Value, AwsError> {
    serde_json::to_value(answer).map_err(|error| {
        AwsError::new(
            &INTERNAL_FAILURE,
            format!("the answer could not be written: {error}"),
        )
    })
}

/// What an SQS client sees of each core error.
pub(super) fn refusal(error: &CoreError) -> AwsError {
    match error {
        CoreError::VhostNotFound(_) | CoreError::QueueNotFound { .. } => errors::no_such_queue(),
        CoreError::ExchangeNotFound { .. }
        | CoreError::DefaultExchange
        | CoreError::InUse(_)
        | CoreError::NotEmpty(_)
        | CoreError::BadBinding(_) => errors::unsupported(error.to_string()),
        // The service's fault, and no other try does better until somebody repairs it.
        CoreError::Quarantined(_) => AwsError::new(&INTERNAL_FAILURE, error.to_string()),
        // SDKs back off and try again by themselves.
        CoreError::Busy => AwsError::new(
            &errors::REQUEST_THROTTLED,
            "The broker has too much to write; try again.",
        ),
        CoreError::Full => AwsError::new(
            &SERVICE_UNAVAILABLE,
            "The broker is out of disk space; try again later.",
        ),
        CoreError::LogFailed | CoreError::Store(_) => AwsError::new(
            &INTERNAL_FAILURE,
            "The request processing has failed because of an unknown error.",
        ),
    }
}
