//! Who asks the store for something, and what it was told.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyReader;
use crate::core::log::bodies::BodyWriter;
use crate::core::log::read::ReadError;
use crate::core::log::read::Reader;
use crate::core::log::read::SpillReader;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::model::ids::Lsn;

use super::model::encode;

/// A message without its entries, to be compared, and its body if that is in chunks.
pub(super) type Message = (Vec<u8>, Vec<u8>);

/// What a request for messages was answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) messages: Vec<(Lsn, Message)>,
    pub(super) unread: Vec<(Lsn, ReadError)>,
}

/// A place for an answer.
pub(super) struct Place<T>(Arc<Mutex<Option<T>>>);

impl<T> Place<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Another name of it.
    pub(super) fn twin(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Takes the answer, if it came.
    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().take()
    }

    fn put(&self, answer: T) {
        let before = self.0.lock().replace(answer);
        assert!(before.is_none(), "it is answered once");
    }
}

/// Reads messages.
pub(super) struct Messages {
    answer: Answer,
    place: Place<Answer>,
}

impl Messages {
    pub(super) fn reader(place: &Place<Answer>) -> Box<dyn Reader> {
        Box::new(Self {
            answer: Answer::default(),
            place: place.twin(),
        })
    }
}

/// A message as it is compared.
pub(super) fn comparable(fields: &MessageFields<'_>) -> Vec<u8> {
    encode(&Record::Publish(Publish {
        message: fields.clone(),
        entries: Cow::Borrowed(&[]),
        elidable: true,
    }))
}

impl Reader for Messages {
    fn message(&mut self, lsn: Lsn, fields: &MessageFields<'_>, chunks: Vec<Bytes>) {
        let message = (comparable(fields), chunks.concat());
        self.answer.messages.push((lsn, message));
    }

    fn done(mut self: Box<Self>, unread: Vec<(Lsn, ReadError)>) {
        self.answer.unread = unread;
        let Self { answer, place } = *self;
        place.put(answer);
    }
}

/// Reads what was put aside.
pub(super) struct Spilled(pub(super) Place<Result<Bytes, ReadError>>);

impl SpillReader for Spilled {
    fn spilled(self: Box<Self>, bytes: Result<Bytes, ReadError>) {
        self.0.put(bytes);
    }
}

/// Writes a body.
pub(super) struct Upload(pub(super) Place<Result<(), BodyError>>);

impl BodyWriter for Upload {
    fn written(&self, _: usize) {}

    fn ended(&self, outcome: Result<(), BodyError>) {
        self.0.put(outcome);
    }
}

/// Reads a block of a body.
pub(super) struct Block(pub(super) Place<Result<Bytes, BodyError>>);

impl BodyReader for Block {
    fn read(&self, _: u64, bytes: Result<Bytes, BodyError>) {
        self.0.put(bytes);
    }
}
