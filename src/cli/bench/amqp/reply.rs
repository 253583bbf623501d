//! What the broker's answers carry.

use crate::cli::bench::peer::Identity;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::method::channel::ChannelMethod;
use crate::protocols::amqp091::codec::method::connection::ConnectionMethod;
use crate::protocols::amqp091::codec::method::connection::Start;
use crate::protocols::amqp091::codec::method::queue::QueueMethod;

/// Reads answers: each function `None` for another method than its own.
pub(super) struct Reply;

impl Reply {
    pub(super) fn identity(method: Method<'_>) -> Option<Identity> {
        let Method::Connection(ConnectionMethod::Start(Start {
            server_properties, ..
        })) = method
        else {
            return None;
        };
        let text = |name: &str| {
            let value = server_properties.get(name.as_bytes())?.as_str()?;
            Some(value.to_owned())
        };
        Some(Identity {
            product: text("product").unwrap_or_else(|| "unknown".to_owned()),
            // Viaduct's `version` is that of the RabbitMQ that clients may take it for.
            version: text("viaduct_version")
                .or_else(|| text("version"))
                .unwrap_or_default(),
        })
    }

    pub(super) fn tune(method: Method<'_>) -> Option<u32> {
        if let Method::Connection(ConnectionMethod::Tune(tune)) = method {
            return Some(tune.frame_max);
        }
        None
    }

    pub(super) fn is_connection_open_ok(method: Method<'_>) -> Option<()> {
        matches!(method, Method::Connection(ConnectionMethod::OpenOk(_))).then_some(())
    }

    pub(super) fn is_channel_open_ok(method: Method<'_>) -> Option<()> {
        matches!(method, Method::Channel(ChannelMethod::OpenOk(_))).then_some(())
    }

    /// Messages and consumers of a queue.
    pub(super) fn queue(method: Method<'_>) -> Option<(u32, u32)> {
        if let Method::Queue(QueueMethod::DeclareOk(ok)) = method {
            return Some((ok.message_count, ok.consumer_count));
        }
        None
    }

    /// A queue is gone.
    pub(super) fn is_delete_ok(method: Method<'_>) -> Option<()> {
        matches!(method, Method::Queue(QueueMethod::DeleteOk(_))).then_some(())
    }
}
