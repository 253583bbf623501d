//! Any sequence of well-formed methods gets an answer, and leaves nothing behind.

use proptest::prelude::*;

use super::client::Broker;
use super::client::START;
use super::client::content;
use super::client::s;
use crate::protocols::amqp091::codec::method::MethodFrame;
use crate::protocols::amqp091::codec::method::basic;
use crate::protocols::amqp091::codec::method::channel;
use crate::protocols::amqp091::codec::method::confirm;
use crate::protocols::amqp091::codec::method::exchange;
use crate::protocols::amqp091::codec::method::queue;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::session::End;
use crate::protocols::session::Flow;
use crate::telemetry::Protocol;

/// What a client does next.
#[derive(Clone, Debug)]
struct Action {
    channel: u16,
    what: u8,
    name: usize,
    number: u64,
    flag: bool,
}

const NAMES: [&str; 4] = ["", "q", "r", "missing"];

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = (1u16..3, 0u8..19, 0..NAMES.len(), 0u64..6, any::<bool>());
    proptest::collection::vec(
        action.prop_map(|(channel, what, name, number, flag)| Action {
            channel,
            what,
            name,
            number,
            flag,
        }),
        1..60,
    )
}

fn method(channel: u16, method: &impl MethodFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_method(&mut bytes, channel, method);
    bytes
}

/// The action as frames.
fn frames(action: &Action) -> Vec<u8> {
    let (channel, name, flag) = (action.channel, s(NAMES[action.name]), action.flag);
    let delivery_tag = action.number;
    let exchange = s(if flag { "amq.fanout" } else { "" });
    match action.what {
        0 => method(channel, &channel::Open::default()),
        1 => method(channel, &channel::Close::default()),
        2 => method(channel, &channel::CloseOk {}),
        3 => method(channel, &channel::Flow { active: flag }),
        4 => method(channel, &confirm::Select { nowait: flag }),
        5 | 6 => {
            let sizes = [0, 1, 5000, 70_000, 200_000, 9000];
            let body = vec![7; sizes[usize::try_from(action.number).unwrap()]];
            content(
                channel,
                ("", NAMES[action.name]),
                &body,
                &[0x10, 0, 2],
                131_072,
            )
        }
        7 => method(
            channel,
            &queue::Declare {
                queue: name,
                durable: true,
                passive: flag,
                ..Default::default()
            },
        ),
        8 => method(
            channel,
            &queue::Bind {
                queue: name,
                exchange,
                ..Default::default()
            },
        ),
        9 => method(
            channel,
            &queue::Unbind {
                queue: name,
                exchange,
                ..Default::default()
            },
        ),
        10 => method(
            channel,
            &queue::Purge {
                queue: name,
                ..Default::default()
            },
        ),
        11 => method(
            channel,
            &queue::Delete {
                queue: name,
                if_unused: flag,
                ..Default::default()
            },
        ),
        12 => method(
            channel,
            &basic::Qos {
                prefetch_count: u16::try_from(action.number).unwrap(),
                global: flag,
                ..Default::default()
            },
        ),
        13 => method(
            channel,
            &basic::Consume {
                queue: name,
                no_ack: flag,
                ..Default::default()
            },
        ),
        14 => method(
            channel,
            &basic::Get {
                queue: name,
                no_ack: flag,
                ..Default::default()
            },
        ),
        15 => method(
            channel,
            &basic::Ack {
                delivery_tag,
                multiple: flag,
            },
        ),
        16 => method(
            channel,
            &basic::Nack {
                delivery_tag,
                multiple: flag,
                requeue: delivery_tag % 2 == 0,
            },
        ),
        17 => method(channel, &basic::Recover { requeue: true }),
        _ => method(
            channel,
            &exchange::Declare {
                exchange: s("x"),
                kind: s("fanout"),
                durable: flag,
                ..Default::default()
            },
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_methods_get_an_answer_and_leave_nothing(actions in actions(), hold in any::<bool>(), lost in any::<bool>()) {
        let broker = Broker::new();
        let mut client = broker.channel();
        client.declare("q");
        if hold {
            broker.store.hold();
        }
        for (at, action) in actions.iter().enumerate() {
            client.bytes(&frames(action));
            prop_assert!(client.high_water <= 64 * 1024 + 10_000, "{}", client.high_water);
            // A client that reads now and then.
            if at % 3 == 0 {
                let _ = client.drain();
                client.settle();
            }
            if client.flow == Flow::Close {
                break;
            }
        }
        broker.store.release();
        let _ = client.lines();
        client.end(if lost { End::Lost } else { End::Closed });
        let metrics = broker.core.metrics();
        prop_assert_eq!(metrics.channels.get(), 0);
        prop_assert_eq!(metrics.consumers.of(Protocol::Amqp091).get(), 0);
        for queue in broker.core.vhost("/").unwrap().queues_from("", 100) {
            let counts = queue.counts();
            prop_assert_eq!((counts.leased, counts.consumers), (0, 0), "{:?} at {:?}", queue, START);
        }
    }
}
