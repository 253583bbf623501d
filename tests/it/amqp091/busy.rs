//! A log that has no room for a while: publishes wait, in order, and nothing is lost or confirmed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::client::Broker;
use super::client::s;
use viaduct::core::log::bodies::Bodies;
use viaduct::core::log::read::Reader;
use viaduct::core::log::read::SpillId;
use viaduct::core::log::read::SpillReader;
use viaduct::core::log::record::Record;
use viaduct::core::log::store::AppendError;
use viaduct::core::log::store::Capabilities;
use viaduct::core::log::store::DamageObserver;
use viaduct::core::log::store::Dead;
use viaduct::core::log::store::Scanned;
use viaduct::core::log::store::Space;
use viaduct::core::log::store::Store;
use viaduct::core::log::store::StoreError;
use viaduct::core::log::store::Visitor;
use viaduct::core::log::store::Waiter;
use viaduct::core::log::store::Watermark;
use viaduct::core::model::ids::Identity;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::ids::Shard;
use viaduct::core::model::time::CoreTime;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::session::End;
use viaduct::protocols::session::Session;
use viaduct::store::memory::MemoryStore;

/// Refuses what is not urgent while it is told to.
struct Moody {
    store: Arc<MemoryStore>,
    refuses: AtomicBool,
    with: AppendError,
}

impl Store for Moody {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn identity(&self) -> Identity {
        self.store.identity()
    }

    fn load(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<Option<Lsn>, StoreError> {
        self.store.load(shard, visit)
    }

    fn recover(&self, shard: Shard, visitor: &mut dyn Visitor) -> Result<Scanned, StoreError> {
        self.store.recover(shard, visitor)
    }

    fn append<'a>(
        &self,
        shard: Shard,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'a>>,
    ) -> Result<Lsn, AppendError> {
        if self.refuses.load(Ordering::Relaxed) && !urgent {
            return Err(self.with);
        }
        self.store.append(shard, now, urgent, records)
    }

    fn watermark(&self, shard: Shard) -> Watermark {
        self.store.watermark(shard)
    }

    fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>) {
        self.store.wait(lsn, waiter);
    }

    fn read(&self, shard: Shard, lsns: Vec<Lsn>, reader: Box<dyn Reader>) {
        self.store.read(shard, lsns, reader);
    }

    fn spill_put(&self, shard: Shard, bytes: Vec<u8>) -> SpillId {
        self.store.spill_put(shard, bytes)
    }

    fn spill_get(&self, shard: Shard, id: SpillId, reader: Box<dyn SpillReader>) {
        self.store.spill_get(shard, id, reader);
    }

    fn spill_drop(&self, shard: Shard, id: SpillId) {
        self.store.spill_drop(shard, id);
    }

    fn dead(&self, dead: &[Dead]) {
        self.store.dead(dead);
    }

    fn checkpoint(
        &self,
        shard: Shard,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = (&str, Option<&[u8]>)>,
    ) -> Result<(), StoreError> {
        self.store.checkpoint(shard, upto, changes)
    }

    fn watch_damage(&self, observer: Arc<dyn DamageObserver>) {
        self.store.watch_damage(observer);
    }

    fn place(&self, lsn: Lsn) -> String {
        self.store.place(lsn)
    }

    fn bodies(&self) -> &Arc<dyn Bodies> {
        self.store.bodies()
    }

    fn space(&self) -> Space {
        self.store.space()
    }

    fn close(&self, now: CoreTime) -> Result<(), StoreError> {
        self.store.close(now)
    }
}

fn moody(with: AppendError) -> (Broker, Arc<Moody>) {
    let store = MemoryStore::new(1);
    let front = Arc::new(Moody {
        store: Arc::clone(&store),
        refuses: AtomicBool::new(false),
        with,
    });
    let broker = Broker::over(store, Arc::clone(&front) as Arc<dyn Store>, 1 << 30);
    (broker, front)
}

#[test]
fn publishes_wait_for_room_in_the_log_and_go_on_in_order() {
    for with in [AppendError::Busy, AppendError::Full] {
        let (broker, store) = moody(with);
        let mut client = broker.channel();
        client.confirm(1);
        client.declare("q");
        store.refuses.store(true, Ordering::Relaxed);
        assert_eq!(client.publish("q", &[b"1", b"2"]).lines(), [""; 0]);
        assert!(!client.session.wants_bytes(), "{with}");
        // What comes behind is not read, and not answered out of turn.
        client.publish("q", &[b"3"]);
        assert_eq!(client.after(100).lines(), [""; 0]);
        store.refuses.store(false, Ordering::Relaxed);
        let lines = client.after(100).lines();
        assert_eq!(lines, ["1 basic.ack 2*", "1 basic.ack 3"]);
        assert_eq!(client.get("q")[2], "1 body 1");
        assert_eq!(client.get("q")[2], "1 body 2");
        assert_eq!(client.get("q")[2], "1 body 3");
    }
}

#[test]
fn a_move_of_the_log_is_reason_enough_to_try_again() {
    let (broker, store) = moody(AppendError::Busy);
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    broker.store.hold();
    client.publish("q", &[b"1"]).lines();
    store.refuses.store(true, Ordering::Relaxed);
    client.publish("q", &[b"2"]).lines();
    store.refuses.store(false, Ordering::Relaxed);
    broker.store.release();
    assert_eq!(client.lines(), ["1 basic.ack 2*"]);
}

#[test]
fn what_the_log_never_had_room_for_was_never_confirmed() {
    let (broker, store) = moody(AppendError::Full);
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    store.refuses.store(true, Ordering::Relaxed);
    assert_eq!(client.publish("q", &[b"1"]).lines(), [""; 0]);
    client.end(End::Lost);
    let counts = broker.core.vhost("/").unwrap().queue("q").unwrap().counts();
    assert_eq!(counts.ready, 0);
}

#[test]
fn a_log_that_failed_confirms_nothing_and_ends_the_connection() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    broker.store.hold();
    client.publish("q", &[b"1"]);
    broker.store.fail(Shard(0));
    let text = "0 connection.close 0.0 INTERNAL_ERROR - the log has failed";
    assert_eq!(client.lines(), [text]);
}

#[test]
fn a_connection_that_waits_for_thousands_of_answers_is_not_read_from() {
    let broker = Broker::new();
    let mut client = broker.channel();
    for number in 2..=5 {
        client.open(number);
    }
    broker.store.hold();
    let mut bytes = Vec::new();
    for number in 1..=5 {
        let declare = queue::Declare {
            queue: s("q"),
            durable: true,
            ..queue::Declare::default()
        };
        write_method(&mut bytes, number, &declare);
        for _ in 0..999 {
            write_method(&mut bytes, number, &basic::Qos::default());
        }
    }
    assert_eq!(client.bytes(&bytes).lines(), [""; 0]);
    assert!(!client.session.wants_bytes());
    assert!(!client.input.is_empty());
    broker.store.release();
    assert_eq!(client.lines().len(), 5000);
    assert!(client.session.wants_bytes());
    assert!(client.input.is_empty());
}
