//! The publisher between two reads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::auth::Auth;
use crate::auth::AuthConfig;
use crate::auth::Identity;
use crate::auth::MemoryRecords;
use crate::auth::UserName;
use crate::core::Core;
use crate::core::Settings;
use crate::core::formats::Formats;
use crate::core::inbox::Inbox;
use crate::core::model::batch::Draft;
use crate::core::model::message::FormatId;
use crate::core::model::names::QueueName;
use crate::core::model::time::CoreTime;
use crate::core::queue::settings::QueueSettings;
use crate::core::topology::Vhost;
use crate::protocols::amqp091::codec::Properties;
use crate::protocols::amqp091::link::Capabilities;
use crate::protocols::amqp091::link::Link;
use crate::protocols::amqp091::publisher::KEPT_RUNS;
use crate::protocols::amqp091::publisher::Publisher;
use crate::protocols::amqp091::publisher::Target;
use crate::store::memory::MemoryStore;
use crate::telemetry::Metrics;
use crate::transport::Limits;

const T0: CoreTime = CoreTime::from_ms(1_000_000);
const QUEUES: [&str; 2] = ["one", "other"];

/// A connection to a broker with two queues.
fn link() -> (Link, Arc<Vhost>) {
    let settings = Settings::new(1 << 30);
    let metrics = Arc::new(Metrics::new());
    let opened = Core::open(MemoryStore::new(1), Formats::new(), metrics, &settings, T0);
    let (core, _) = opened.unwrap();
    let vhost = core.vhost("/").unwrap();
    for name in QUEUES {
        let name = QueueName::parse(name).unwrap();
        let settings = || QueueSettings::new(true);
        core.declare_queue(&vhost, &name, settings, T0).unwrap();
    }
    let records = Arc::<MemoryRecords>::default();
    let auth = Auth::open(records, &AuthConfig::default(), &["/".to_owned()]).unwrap();
    let link = Link {
        core,
        auth: Arc::new(auth),
        limits: Arc::new(Limits::default()),
        inbox: Inbox::new(),
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        conn: 1,
        client: Capabilities::default(),
        name: "".into(),
        frame_max: 131_072,
        channel_max: 1,
    };
    (link, vhost)
}

/// Publishes so many messages, none to the queue of the one before it, as one read would.
fn publish(publisher: &mut Publisher, link: &Link, vhost: &Vhost, messages: usize) {
    let user = Identity {
        user: UserName::parse("guest").unwrap(),
        tags: Arc::default(),
    };
    for key in QUEUES.iter().cycle().take(messages) {
        let target = Target {
            exchange: b"",
            key: key.as_bytes(),
            properties: Properties::parse(Properties::NONE).unwrap(),
        };
        assert!(publisher.route(link, vhost, &user, &target).unwrap());
        let draft = Draft::new(FormatId(1), b"", "", key.as_bytes());
        publisher.push(draft, 0, 1, None);
    }
    publisher
        .flush(&link.core, &mut BTreeMap::new(), T0)
        .unwrap();
}

#[test]
fn a_read_of_thousands_of_runs_leaves_no_room_for_them_behind() {
    let (link, vhost) = link();
    let mut publisher = Publisher::new(Arc::default());
    publish(&mut publisher, &link, &vhost, 2_048);
    assert_eq!(link.core.metrics().pushes.get(), 2_048);
    assert!(publisher.runs_room() <= KEPT_RUNS);
    publish(&mut publisher, &link, &vhost, 8);
    assert!(publisher.runs_room() >= 8, "but what is usual");
}
