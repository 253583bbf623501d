//! What the methods of an open channel do, by class.

mod basic;

mod channel;

mod consume;

mod content;

mod deliver;

mod exchange;

mod large;

mod publish;

mod queue;

mod settle;

pub(super) use content::PUBLISH;
pub(super) use large::Incoming;

use crate::auth::Action;
use crate::auth::DEFAULT_EXCHANGE;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::MethodFrame;
use crate::protocols::amqp091::codec::method::access;
use crate::protocols::amqp091::codec::method::access::AccessMethod;
use crate::protocols::amqp091::codec::method::basic::BasicMethod;
use crate::protocols::amqp091::codec::method::confirm::ConfirmMethod;
use crate::protocols::amqp091::codec::method::exchange::ExchangeMethod;
use crate::protocols::amqp091::codec::method::queue::QueueMethod;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;

impl Live {
    /// Does a method of an open channel, basic.publish apart.
    pub(super) fn dispatch(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<(), Refusal> {
        match method {
            Method::Channel(method) => self.on_channel(turn, number, method),
            Method::Access(AccessMethod::Request(_)) => {
                // RabbitMQ's ticket; no method looks at one.
                self.reply(turn, number, &access::RequestOk { ticket: 1 }, None);
                Ok(())
            }
            Method::Exchange(ExchangeMethod::Declare(m)) => self.exchange_declare(turn, number, m),
            Method::Exchange(ExchangeMethod::Delete(m)) => self.exchange_delete(turn, number, m),
            Method::Exchange(_) => Err(Refusal::later("bindings between exchanges")),
            Method::Queue(QueueMethod::Declare(m)) => self.queue_declare(turn, number, m),
            Method::Queue(QueueMethod::Bind(m)) => self.queue_bind(turn, number, m),
            Method::Queue(QueueMethod::Unbind(m)) => self.queue_unbind(turn, number, m),
            Method::Queue(QueueMethod::Purge(m)) => self.queue_purge(turn, number, m),
            Method::Queue(QueueMethod::Delete(m)) => self.queue_delete(turn, number, m),
            Method::Basic(BasicMethod::Qos(m)) => self.basic_qos(turn, number, m),
            Method::Basic(BasicMethod::Consume(m)) => self.basic_consume(turn, number, m),
            Method::Basic(BasicMethod::Cancel(m)) => self.basic_cancel(turn, number, m),
            // The answer to a cancel of ours; some clients send it.
            Method::Basic(BasicMethod::CancelOk(_)) => Ok(()),
            Method::Basic(BasicMethod::Get(m)) => self.basic_get(turn, number, m),
            Method::Basic(BasicMethod::Ack(m)) => self.basic_ack(turn, number, m),
            Method::Basic(BasicMethod::Nack(m)) => self.basic_nack(turn, number, m),
            Method::Basic(BasicMethod::Reject(m)) => self.basic_reject(turn, number, m),
            Method::Basic(BasicMethod::Recover(m)) => {
                self.basic_recover(turn, number, m.requeue, true)
            }
            Method::Basic(BasicMethod::RecoverAsync(m)) => {
                self.basic_recover(turn, number, m.requeue, false)
            }
            Method::Confirm(ConfirmMethod::Select(m)) => {
                self.confirm_select(turn, number, m.nowait)
            }
            Method::Tx(_) => Err(Refusal::later("transactions")),
            Method::Connection(_)
            | Method::Access(_)
            | Method::Queue(_)
            | Method::Basic(_)
            | Method::Confirm(_) => Err(errors::out_of_place(method.name())),
        }
    }

    /// Asks for a permission on a queue.
    fn permit_queue(&self, turn: &Turn<'_>, action: Action, queue: &str) -> Result<(), Refusal> {
        let resource = self.queue_resource(queue);
        self.permit(turn, action, queue, &resource)
    }

    /// Asks for a permission on an exchange.
    fn permit_exchange(
        &self,
        turn: &Turn<'_>,
        action: Action,
        exchange: &str,
    ) -> Result<(), Refusal> {
        let name = if exchange.is_empty() {
            DEFAULT_EXCHANGE
        } else {
            exchange
        };
        let resource = self.exchange_resource(exchange);
        self.permit(turn, action, name, &resource)
    }

    fn permit(
        &self,
        turn: &Turn<'_>,
        action: Action,
        name: &str,
        resource: &str,
    ) -> Result<(), Refusal> {
        let vhost = self.vhost.name().as_str();
        turn.link
            .auth
            .permit(&self.user.user, vhost, action, name)
            .map_err(|error| {
                turn.core().metrics().permissions_denied.of(DOOR).inc();
                errors::denied(&error, resource)
            })
    }

    fn queue_resource(&self, queue: &str) -> String {
        errors::queue_in(queue, self.vhost.name().as_str())
    }

    fn exchange_resource(&self, exchange: &str) -> String {
        errors::exchange_in(exchange, self.vhost.name().as_str())
    }

    /// A queue's name; an empty one is the last queue that the channel declared.
    fn queue_name(&mut self, number: u16, name: ShortStr<'_>) -> Result<String, Refusal> {
        if !name.is_empty() {
            return clean(name, "queue");
        }
        let last = self.channel(number)?.last_queue.clone();
        last.ok_or_else(|| Refusal::new(ReplyCode::NotFound, "no previously declared queue"))
    }
}

/// A name without line ends, which RabbitMQ takes out, too.
fn clean(name: ShortStr<'_>, field: &'static str) -> Result<String, Refusal> {
    Ok(name.as_str(field)?.replace(['\r', '\n'], ""))
}

/// `amq.` names are the broker's own.
fn check_reserved(kind: &str, name: &str) -> Result<(), Refusal> {
    if name.starts_with("amq.") {
        let text = format!("{kind} name '{name}' contains reserved prefix 'amq.*'");
        return Err(Refusal::new(ReplyCode::AccessRefused, text));
    }
    Ok(())
}
