//! Visitors of a start that most tests are served with.

use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;

/// A visitor that has a place for everything, and listens to nothing.
pub(crate) struct Silence;

impl Visitor for Silence {
    fn catalog(&mut self, _: Lsn, _: &str, _: Option<&[u8]>) {}

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, _: LiveEntry<'_>) -> bool {
        true
    }
}

/// Keeps the keys of catalog changes, which stand for any record; it has a place for everything.
#[derive(Default)]
pub(crate) struct Keys(pub(crate) Vec<String>);

impl Visitor for Keys {
    fn catalog(&mut self, _: Lsn, key: &str, _: Option<&[u8]>) {
        self.0.push(key.to_owned());
    }

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, _: LiveEntry<'_>) -> bool {
        true
    }
}
