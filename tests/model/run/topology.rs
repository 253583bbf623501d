//! Queues, exchanges and bindings.

use std::collections::BTreeMap;

use viaduct::core::declare::Declared;
use viaduct::core::declare::DeleteIf;
use viaduct::core::error::CoreError;
use viaduct::core::events::CoreEvent;
use viaduct::core::inbox::Event;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::names::QueueName;
use viaduct::core::queue::clear::Purge;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::route::binding::BindingArguments;
use viaduct::core::route::exchange::ExchangeKind;
use viaduct::core::route::exchange::ExchangeSettings;

use crate::operation::EXCHANGES;

use super::World;

impl World {
    pub(super) fn declare(&mut self, name: &'static str, settings: &QueueSettings) {
        let known = self.queue(name);
        let parsed = QueueName::parse(name).unwrap();
        let written = self
            .core
            .declare_queue(&self.vhost, &parsed, || settings.clone(), self.time())
            .unwrap();
        match (written.value, known) {
            (Declared::Created(_), None) => {
                assert_eq!(written.lsn.is_some(), settings.durable);
                self.reference.declare(name, settings.clone());
                self.expect(CoreEvent::QueueCreated, parsed);
            }
            (Declared::Existing(_), Some(_)) => {}
            (declared, _) => panic!("{declared:?}"),
        }
    }

    pub(super) fn update(&mut self, name: &str, settings: &QueueSettings) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        let before = self.reference.settings(id);
        // No door takes durability away, and what expires how was decided when it came.
        let settings = QueueSettings {
            durable: before.durable || settings.durable,
            retention_ms: before.retention_ms,
            ..settings.clone()
        };
        let change = |changed: &mut QueueSettings| *changed = settings.clone();
        self.core.update_queue(&queue, change, self.time()).unwrap();
        self.reference.update(id, settings.clone(), self.now);
    }

    pub(super) fn delete(&mut self, name: &str, only: DeleteIf) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        let deleted = self
            .core
            .delete_queue(&self.vhost, &queue, only, self.time());
        if only.unused
            && self
                .consumers
                .iter()
                .any(|tap| tap.queue == id && tap.visible)
        {
            assert!(matches!(deleted, Err(CoreError::InUse(_))));
            return;
        }
        if only.empty && self.reference.holds(id).ready > 0 {
            assert!(matches!(deleted, Err(CoreError::NotEmpty(_))));
            return;
        }
        assert_eq!(deleted.unwrap().value, self.reference.delete(id));
        self.expect(CoreEvent::QueueDeleted, queue.name().clone());
        self.leases.retain(|held| held.queue != id);
        for tap in self.consumers.extract_if(.., |tap| tap.queue == id) {
            assert_eq!(tap.inbox.try_next(), Some(Event::Cancelled(tap.id as u64)));
            self.core.unsubscribe(tap.consumer);
        }
    }

    pub(super) fn purge(&mut self, name: &str, all: bool) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        let purge = if all { Purge::All } else { Purge::Ready };
        let purged = self.core.purge(&queue, purge, self.time()).unwrap();
        assert_eq!(purged.value, self.reference.purge(id, purge));
    }

    pub(super) fn declare_exchange(&mut self, at: usize) {
        let (name, kind, durable) = EXCHANGES[at];
        let settings = || ExchangeSettings {
            kind: ExchangeKind::parse(kind).unwrap(),
            durable,
            internal: false,
            auto_delete: false,
            vocabulary: BTreeMap::new(),
        };
        let parsed = ExchangeName::parse(name).unwrap();
        let declared = self
            .core
            .declare_exchange(&self.vhost, &parsed, settings, self.time())
            .unwrap();
        let is_new = matches!(declared.value, Declared::Created(_));
        assert_eq!(is_new, !self.reference.has_exchange(name));
        if is_new {
            self.expect(CoreEvent::ExchangeCreated, parsed);
        }
        self.reference.declare_exchange(name, kind, durable);
    }

    pub(super) fn delete_exchange(&mut self, name: &str) {
        let parsed = ExchangeName::parse(name).unwrap();
        let only = DeleteIf::default();
        let deleted = self
            .core
            .delete_exchange(&self.vhost, &parsed, only, self.time());
        assert_eq!(deleted.is_ok(), self.reference.has_exchange(name));
        if deleted.is_ok() {
            self.expect(CoreEvent::ExchangeDeleted, parsed);
        }
        self.reference.delete_exchange(name);
    }

    pub(super) fn bind(&mut self, exchange: &str, name: &str, key: &str, bind: bool) {
        let (parsed, queue) = (
            ExchangeName::parse(exchange).unwrap(),
            QueueName::parse(name).unwrap(),
        );
        let (key_bytes, none) = (key.as_bytes(), BindingArguments::default());
        let (core, vhost) = (&self.core, &self.vhost);
        let answer = match bind {
            true => core.bind(vhost, &parsed, &queue, key_bytes, &none, self.time()),
            false => core.unbind(vhost, &parsed, &queue, key_bytes, &none, self.time()),
        };
        let id = self.reference.id_of(name).filter(|_| !exchange.is_empty());
        match id.filter(|_| self.reference.has_exchange(exchange)) {
            None => assert!(answer.is_err()),
            Some(id) => {
                answer.unwrap();
                match bind {
                    true => self.reference.bind(exchange, id, key),
                    false => self.reference.unbind(exchange, id, key),
                }
            }
        }
    }
}
