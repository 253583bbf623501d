//! queue.declare, bind, unbind, purge and delete.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::Action;
use crate::core::declare::Declared;
use crate::core::declare::DeleteIf;
use crate::core::error::CoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::queue::Counts;
use crate::core::queue::clear::Purge;
use crate::core::queue::settings::DeadLetterTarget;
use crate::core::route::binding::BindingArguments;
use crate::protocols::amqp091::arguments;
use crate::protocols::amqp091::arguments::Declaration;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::queue as wire;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::methods::check_reserved;
use crate::protocols::amqp091::methods::clean;

impl Live {
    pub(super) fn queue_declare(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Declare<'_>,
    ) -> Result<(), Refusal> {
        let (name, counts, lsn) = if method.passive {
            let name = self.queue_name(number, method.queue)?;
            let queue = self
                .vhost
                .queue(&name)
                .map_err(|error| errors::refusal(&error, ""))?;
            (name, queue.counts(), None)
        } else {
            self.declare_queue(turn, method)?
        };
        self.channel(number)?.last_queue = Some(name.clone());
        if !method.nowait {
            let ok = wire::DeclareOk {
                queue: ShortStr::clipped(&name),
                message_count: u32::try_from(counts.ready).unwrap_or(u32::MAX),
                consumer_count: u32::try_from(counts.consumers).unwrap_or(u32::MAX),
            };
            self.reply(turn, number, &ok, lsn);
        }
        Ok(())
    }

    fn declare_queue(
        &mut self,
        turn: &mut Turn<'_>,
        method: &wire::Declare<'_>,
    ) -> Result<(String, Counts, Option<Lsn>), Refusal> {
        let name = match clean(method.queue, "queue")? {
            name if name.is_empty() => generated("amq.gen-")?,
            name => {
                check_reserved("queue", &name)?;
                name
            }
        };
        let resource = self.queue_resource(&name);
        self.permit_queue(turn, Action::Configure, &name)?;
        if method.exclusive {
            return Err(Refusal::later("exclusive queues"));
        }
        if method.auto_delete {
            return Err(Refusal::later("auto-delete queues"));
        }
        let declaration = Declaration::check(method.durable, method.arguments, &resource)?;
        let settings = declaration.settings();
        if let Some(DeadLetterTarget::Exchange { exchange, .. }) =
            settings.dead_letter.values().next()
        {
            // What dies in the queue is read from it and written there in the declarer's name.
            self.permit_queue(turn, Action::Read, &name)?;
            self.permit_exchange(turn, Action::Write, exchange.as_str())?;
        }
        let made = turn
            .core()
            .declare_queue(
                &self.vhost,
                &QueueName::parse(&name)?,
                || settings,
                turn.now,
            )
            .map_err(|error| errors::refusal(&error, &resource))?;
        let counts = match made.value {
            Declared::Created(_) => Counts::default(),
            Declared::Existing(queue) => {
                declaration.check_equivalent(&queue.settings(), &resource)?;
                queue.counts()
            }
        };
        Ok((name, counts, made.lsn))
    }

    pub(super) fn queue_bind(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Bind<'_>,
    ) -> Result<(), Refusal> {
        let binding = self.binding(
            turn,
            number,
            (method.queue, method.exchange, method.routing_key),
            method.arguments,
        )?;
        let bound = turn
            .core()
            .bind(
                &self.vhost,
                &binding.exchange,
                &binding.queue,
                &binding.key,
                &binding.arguments,
                turn.now,
            )
            .map_err(|error| errors::refusal(&error, ""))?;
        if !method.nowait {
            self.reply(turn, number, &wire::BindOk {}, bound.lsn);
        }
        Ok(())
    }

    pub(super) fn queue_unbind(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Unbind<'_>,
    ) -> Result<(), Refusal> {
        let binding = self.binding(
            turn,
            number,
            (method.queue, method.exchange, method.routing_key),
            method.arguments,
        )?;
        let unbound = turn
            .core()
            .unbind(
                &self.vhost,
                &binding.exchange,
                &binding.queue,
                &binding.key,
                &binding.arguments,
                turn.now,
            )
            .map_err(|error| errors::refusal(&error, ""))?;
        self.reply(turn, number, &wire::UnbindOk {}, unbound.lsn);
        Ok(())
    }

    /// What bind and unbind have in common: names, the short cut for an empty key, permissions.
    fn binding(
        &mut self,
        turn: &Turn<'_>,
        number: u16,
        (queue, exchange, key): (ShortStr<'_>, ShortStr<'_>, ShortStr<'_>),
        table: RawTable<'_>,
    ) -> Result<BindingNames, Refusal> {
        let name = self.queue_name(number, queue)?;
        // 0-9-1 §1.7.2.3: without a queue and a key, the key is the last queue's name.
        let key = if queue.is_empty() && key.is_empty() {
            name.as_bytes().to_vec()
        } else {
            key.as_bytes().to_vec()
        };
        let exchange = clean(exchange, "exchange")?;
        let parsed = ExchangeName::parse(&exchange)?;
        self.permit_queue(turn, Action::Write, &name)?;
        if parsed.is_default() {
            return Err(errors::refusal(&CoreError::DefaultExchange, ""));
        }
        self.permit_exchange(turn, Action::Read, &exchange)?;
        let arguments = arguments::read(table).into_iter().collect();
        Ok(BindingNames {
            queue: QueueName::parse(&name)?,
            exchange: parsed,
            key,
            arguments: BindingArguments::new(arguments),
        })
    }

    pub(super) fn queue_purge(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Purge<'_>,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(number, method.queue)?;
        self.permit_queue(turn, Action::Read, &name)?;
        let purged = self
            .vhost
            .queue(&name)
            .and_then(|queue| turn.core().purge(&queue, Purge::Ready, turn.now))
            .map_err(|error| errors::refusal(&error, &self.queue_resource(&name)))?;
        if !method.nowait {
            let message_count = u32::try_from(purged.value).unwrap_or(u32::MAX);
            self.reply(turn, number, &wire::PurgeOk { message_count }, purged.lsn);
        }
        Ok(())
    }

    pub(super) fn queue_delete(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Delete<'_>,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(number, method.queue)?;
        self.permit_queue(turn, Action::Configure, &name)?;
        let only = DeleteIf {
            unused: method.if_unused,
            empty: method.if_empty,
        };
        let deleted = self.vhost.queue(&name).and_then(|queue| {
            turn.core()
                .delete_queue(&self.vhost, &queue, only, turn.now)
        });
        let (messages, lsn) = match deleted {
            Ok(written) => (written.value, written.lsn),
            // Deleting what is not there succeeds (RabbitMQ).
            Err(CoreError::QueueNotFound { .. }) => (0, None),
            Err(error) => return Err(errors::refusal(&error, &self.queue_resource(&name))),
        };
        if !method.nowait {
            let message_count = u32::try_from(messages).unwrap_or(u32::MAX);
            self.reply(turn, number, &wire::DeleteOk { message_count }, lsn);
        }
        Ok(())
    }
}

struct BindingNames {
    queue: QueueName,
    exchange: ExchangeName,
    key: Vec<u8>,
    arguments: BindingArguments,
}

/// A name that nobody else has: 128 random bits behind a prefix.
pub(super) fn generated(prefix: &str) -> Result<String, Refusal> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        let text = format!("no random numbers for a name: {error}");
        Refusal::new(ReplyCode::InternalError, text)
    })?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random)))
}
