//! Any sequence of well-formed methods gets an answer, and leaves nothing behind.

use proptest::prelude::*;

use super::client::Broker;
use super::client::START;
use super::client::content;
use super::client::s;
use viaduct::protocols::amqp091::codec::method::MethodFrame;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::confirm;
use viaduct::protocols::amqp091::codec::method::exchange;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::session::End;
use viaduct::protocols::session::Flow;
use viaduct::telemetry::Protocol;

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
    match action.what {
        0..=6 => of_channels(action),
        7..=12 => of_names(action),
        _ => of_messages(action),
    }
}

fn of_channels(action: &Action) -> Vec<u8> {
    let (channel, flag) = (action.channel, action.flag);
    match action.what {
        0 => method(channel, &channel::Open::default()),
        1 => method(channel, &channel::Close::default()),
        2 => method(channel, &channel::CloseOk {}),
        3 => method(channel, &channel::Flow { active: flag }),
        4 => method(channel, &confirm::Select { nowait: flag }),
        _ => {
            let sizes = [0, 1, 5000, 70_000, 200_000, 9000];
            let body = vec![7; sizes[usize::try_from(action.number).unwrap()]];
            let to = ("", NAMES[action.name]);
            content(channel, to, &body, &[0x10, 0, 2], 131_072)
        }
    }
}

fn of_names(action: &Action) -> Vec<u8> {
    let (channel, flag, queue) = (action.channel, action.flag, s(NAMES[action.name]));
    let declare = queue::Declare {
        queue,
        durable: true,
        passive: flag,
        ..queue::Declare::default()
    };
    let exchange = s(if flag { "amq.fanout" } else { "" });
    let bind = queue::Bind {
        queue,
        exchange,
        ..queue::Bind::default()
    };
    let unbind = queue::Unbind {
        queue,
        exchange,
        ..queue::Unbind::default()
    };
    let purge = queue::Purge {
        queue,
        ..queue::Purge::default()
    };
    let delete = queue::Delete {
        queue,
        if_unused: flag,
        ..queue::Delete::default()
    };
    let fanout = exchange::Declare {
        exchange: s("x"),
        kind: s("fanout"),
        durable: flag,
        ..exchange::Declare::default()
    };
    match action.what {
        7 => method(channel, &declare),
        8 => method(channel, &bind),
        9 => method(channel, &unbind),
        10 => method(channel, &purge),
        11 => method(channel, &delete),
        _ => method(channel, &fanout),
    }
}

fn of_messages(action: &Action) -> Vec<u8> {
    let (channel, flag, queue) = (action.channel, action.flag, s(NAMES[action.name]));
    let (delivery_tag, multiple) = (action.number, flag);
    let requeue = delivery_tag.is_multiple_of(2);
    let qos = basic::Qos {
        prefetch_size: 0,
        prefetch_count: u16::try_from(action.number).unwrap(),
        global: flag,
    };
    let consume = basic::Consume {
        queue,
        no_ack: flag,
        ..basic::Consume::default()
    };
    let get = basic::Get {
        queue,
        no_ack: flag,
        ..basic::Get::default()
    };
    let ack = basic::Ack {
        delivery_tag,
        multiple,
    };
    let nack = basic::Nack {
        delivery_tag,
        multiple,
        requeue,
    };
    match action.what {
        13 => method(channel, &qos),
        14 => method(channel, &consume),
        15 => method(channel, &get),
        16 => method(channel, &ack),
        17 => method(channel, &nack),
        _ => method(channel, &basic::Recover { requeue: true }),
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
