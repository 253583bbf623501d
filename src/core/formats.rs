//! The decoders that doors registered, by format.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::model::message::FormatId;
use crate::core::model::message::Message;
use crate::core::model::value::Decode;
use crate::core::model::value::Properties;

/// Who decodes which format. Filled once, at start.
#[derive(Clone, Default)]
pub struct Formats {
    decoders: BTreeMap<FormatId, Arc<dyn Decode>>,
}

impl Formats {
    /// Nobody decodes anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a door's decoder.
    ///
    /// # Panics
    /// When the format has one already: an id names one form for ever.
    #[must_use]
    pub fn with(mut self, format: FormatId, decoder: Arc<dyn Decode>) -> Self {
        let earlier = self.decoders.insert(format, decoder);
        assert!(
            earlier.is_none(),
            "format {} was given to two forms",
            format.0
        );
        self
    }

    /// The neutral view of a message: empty for a format that nobody knows (written by a later version).
    pub fn properties<'m>(&self, message: &'m Message) -> &'m Properties {
        message.properties(|format, head| match self.decoders.get(&format) {
            Some(decoder) => decoder.neutral(head),
            None => Properties::default(),
        })
    }
}
