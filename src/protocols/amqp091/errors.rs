//! What a client sees of each refusal: the code, and RabbitMQ's words.

use crate::auth::Denied;
use crate::core::error::CoreError;
use crate::core::model::names::NameError;
use crate::protocols::amqp091::codec::CodecError;
use crate::protocols::amqp091::codec::ReplyCode;

/// A refused method. Its code says whether the channel or the connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ReplyCode,
    /// What stands behind the code's name.
    pub(super) explanation: String,
}

impl Refusal {
    pub(super) fn new(code: ReplyCode, explanation: impl Into<String>) -> Self {
        Self {
            code,
            explanation: explanation.into(),
        }
    }

    /// 540: what a later version brings is refused plainly, never half done.
    pub(super) fn later(what: &str) -> Self {
        Self::new(
            ReplyCode::NotImplemented,
            format!("{what} will arrive with a later version"),
        )
    }

    /// 406.
    pub(super) fn precondition(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::PreconditionFailed, explanation)
    }

    /// The whole reply text.
    pub(super) fn text(&self) -> String {
        self.code.text(&self.explanation)
    }
}

impl From<CodecError> for Refusal {
    fn from(error: CodecError) -> Self {
        Self::new(error.reply_code(), error.to_string())
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::precondition(error.to_string())
    }
}

/// A method that makes no sense where it came.
pub(super) fn out_of_place(method: &str) -> Refusal {
    Refusal::new(
        ReplyCode::CommandInvalid,
        format!("'{method}' cannot come now"),
    )
}

/// A core error about `resource`, such as `queue 'q' in vhost '/'`.
pub(super) fn refusal(error: &CoreError, resource: &str) -> Refusal {
    match error {
        CoreError::VhostNotFound(name) => {
            Refusal::new(ReplyCode::NotAllowed, format!("vhost {name} not found"))
        }
        CoreError::QueueNotFound { .. } | CoreError::ExchangeNotFound { .. } => {
            Refusal::new(ReplyCode::NotFound, error.to_string())
        }
        CoreError::DefaultExchange => Refusal::new(ReplyCode::AccessRefused, error.to_string()),
        CoreError::InUse(_) => Refusal::precondition(format!("{resource} in use")),
        CoreError::NotEmpty(_) => Refusal::precondition(format!("{resource} not empty")),
        CoreError::BadBinding(_) | CoreError::Quarantined(_) => {
            Refusal::precondition(error.to_string())
        }
        // Publishes wait instead; only a declaration gets here, and it may be tried again.
        CoreError::Busy | CoreError::Full => {
            Refusal::precondition(format!("{resource}: {error}, try again later"))
        }
        CoreError::LogFailed | CoreError::Store(_) => {
            Refusal::new(ReplyCode::InternalError, error.to_string())
        }
    }
}

/// A permission that is missing on `resource`.
pub(super) fn denied(denied: &Denied, resource: &str) -> Refusal {
    let explanation = match denied {
        Denied::Vhost { user, vhost } => {
            let text = format!("access to vhost '{vhost}' refused for user '{user}'");
            return Refusal::new(ReplyCode::NotAllowed, text);
        }
        Denied::Resource { user, action, .. } => {
            format!("{action} access to {resource} refused for user '{user}'")
        }
    };
    Refusal::new(ReplyCode::AccessRefused, explanation)
}

/// How RabbitMQ names a queue in its texts.
pub(super) fn queue_in(queue: &str, vhost: &str) -> String {
    format!("queue '{queue}' in vhost '{vhost}'")
}

/// How RabbitMQ names an exchange in its texts.
pub(super) fn exchange_in(exchange: &str, vhost: &str) -> String {
    format!("exchange '{exchange}' in vhost '{vhost}'")
}
