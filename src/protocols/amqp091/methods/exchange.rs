//! exchange.declare and exchange.delete.

use std::collections::BTreeMap;

use serde_json::json;

use crate::auth::Action;
use crate::core::declare::Declared;
use crate::core::declare::DeleteIf;
use crate::core::error::CoreError;
use crate::core::model::names::ExchangeName;
use crate::core::route::exchange::ExchangeKind;
use crate::core::route::exchange::ExchangeSettings;
use crate::protocols::amqp091::arguments;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::method::exchange as wire;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::methods::check_reserved;
use crate::protocols::amqp091::methods::clean;

impl Live {
    pub(super) fn exchange_declare(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Declare<'_>,
    ) -> Result<(), Refusal> {
        let name = clean(method.exchange, "exchange")?;
        let lsn = if method.passive {
            if !name.is_empty() {
                self.vhost
                    .exchange(&name)
                    .map_err(|error| errors::refusal(&error, ""))?;
            }
            None
        } else {
            self.declare_exchange(turn, &name, method)?
        };
        if !method.nowait {
            self.reply(turn, number, &wire::DeclareOk {}, lsn);
        }
        Ok(())
    }

    fn declare_exchange(
        &mut self,
        turn: &mut Turn<'_>,
        name: &str,
        method: &wire::Declare<'_>,
    ) -> Result<Option<crate::core::model::ids::Lsn>, Refusal> {
        let kind = ExchangeKind::parse(&method.kind.lossy())
            .map_err(|error| Refusal::new(ReplyCode::CommandInvalid, error.to_string()))?;
        let resource = self.exchange_resource(name);
        let parsed = ExchangeName::parse(name)?;
        if parsed.is_default() {
            return Err(errors::refusal(&CoreError::DefaultExchange, &resource));
        }
        self.permit_exchange(turn, Action::Configure, name)?;
        if method.auto_delete {
            return Err(Refusal::later("auto-delete exchanges"));
        }
        if arguments::has(method.arguments, "alternate-exchange") {
            return Err(Refusal::later("alternate-exchange"));
        }
        if self.vhost.exchange(name).is_err() {
            check_reserved("exchange", name)?;
        }
        let told = json!({ "arguments": arguments::read(method.arguments) });
        let settings = ExchangeSettings {
            kind,
            durable: method.durable,
            internal: method.internal,
            auto_delete: false,
            vocabulary: BTreeMap::from([(arguments::VOCABULARY.to_owned(), told)]),
        };
        let made = turn
            .core()
            .declare_exchange(&self.vhost, &parsed, || settings.clone(), turn.now)
            .map_err(|error| errors::refusal(&error, &resource))?;
        if let Declared::Existing(current) = &made.value {
            check_equivalent(&settings, current, &resource)?;
        }
        Ok(made.lsn)
    }

    pub(super) fn exchange_delete(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Delete<'_>,
    ) -> Result<(), Refusal> {
        let name = clean(method.exchange, "exchange")?;
        let resource = self.exchange_resource(&name);
        let parsed = ExchangeName::parse(&name)?;
        if parsed.is_default() {
            return Err(errors::refusal(&CoreError::DefaultExchange, &resource));
        }
        check_reserved("exchange", &name)?;
        self.permit_exchange(turn, Action::Configure, &name)?;
        let only = DeleteIf {
            unused: method.if_unused,
            empty: false,
        };
        let deleted = turn
            .core()
            .delete_exchange(&self.vhost, &parsed, only, turn.now);
        let lsn = match deleted {
            Ok(written) => written.lsn,
            // Deleting what is not there succeeds (RabbitMQ).
            Err(CoreError::ExchangeNotFound { .. }) => None,
            Err(error) => return Err(errors::refusal(&error, &resource)),
        };
        if !method.nowait {
            self.reply(turn, number, &wire::DeleteOk {}, lsn);
        }
        Ok(())
    }
}

/// Compares with an exchange that is there, in RabbitMQ's order and words.
fn check_equivalent(
    new: &ExchangeSettings,
    current: &ExchangeSettings,
    resource: &str,
) -> Result<(), Refusal> {
    let differs = |what: &str, received: &str, current: &str| {
        Err(Refusal::precondition(format!(
            "inequivalent arg '{what}' for {resource}: received '{received}' but current is '{current}'"
        )))
    };
    if new.kind != current.kind {
        return differs("type", new.kind.as_str(), current.kind.as_str());
    }
    for (what, new, current) in [
        ("durable", new.durable, current.durable),
        ("auto_delete", new.auto_delete, current.auto_delete),
        ("internal", new.internal, current.internal),
    ] {
        if new != current {
            return differs(what, &new.to_string(), &current.to_string());
        }
    }
    Ok(())
}
