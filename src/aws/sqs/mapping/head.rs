//! The head of a message that came through SQS, as bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::aws::sqs::types::AttributeValue;
use crate::aws::sqs::types::AttributeValues;

const VERSION: u8 = 1;
const WAS_BASE64: u8 = 1;
const TEXT: u8 = 1;
const BYTES: u8 = 2;

/// What an SQS sender said beside the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqsHead {
    /// The body was base64 and is stored decoded.
    pub was_base64: bool,
    /// `AWSTraceHeader`.
    pub trace: Option<String>,
    /// `MessageGroupId`; the message itself carries it too, but a decoder sees only the head.
    pub group: Option<String>,
    /// The message attributes.
    pub attributes: AttributeValues,
}

impl SqsHead {
    /// Writes the head.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, if self.was_base64 { WAS_BASE64 } else { 0 }];
        for text in [&self.trace, &self.group] {
            put_short(&mut out, text.as_deref().unwrap_or_default().as_bytes());
        }
        // The rules of a message allow ten attributes, names and types of 256 characters, 1 MiB in all.
        out.push(u8::try_from(self.attributes.len()).unwrap_or(u8::MAX));
        for (name, value) in &self.attributes {
            out.push(if value.binary_value.is_some() {
                BYTES
            } else {
                TEXT
            });
            put_short(&mut out, name.as_bytes());
            put_short(&mut out, value.data_type.as_bytes());
            match &value.binary_value {
                Some(binary) => put_long(&mut out, &STANDARD.decode(binary).unwrap_or_default()),
                None => put_long(
                    &mut out,
                    value.string_value.as_deref().unwrap_or_default().as_bytes(),
                ),
            }
        }
        out
    }

    /// Reads a head; what is damaged is left out, because a message that was accepted is never refused
    /// later.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        let mut reader = Reader(bytes);
        let _ = head.read(&mut reader);
        head
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        if reader.byte()? != VERSION {
            return None;
        }
        self.was_base64 = reader.byte()? & WAS_BASE64 != 0;
        for slot in [&mut self.trace, &mut self.group] {
            let text = reader.short_text()?;
            *slot = (!text.is_empty()).then(|| text.to_owned());
        }
        for _ in 0..reader.byte()? {
            let kind = reader.byte()?;
            let name = reader.short_text()?.to_owned();
            let data_type = reader.short_text()?.to_owned();
            let value = reader.long()?;
            let value = match kind {
                BYTES => AttributeValue {
                    data_type,
                    binary_value: Some(STANDARD.encode(value)),
                    ..AttributeValue::default()
                },
                _ => AttributeValue {
                    data_type,
                    string_value: Some(std::str::from_utf8(value).ok()?.to_owned()),
                    ..AttributeValue::default()
                },
            };
            self.attributes.insert(name, value);
        }
        Some(())
    }
}

fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend(bytes.iter().take(usize::from(len)));
}

fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short_text(&mut self) -> Option<&'a str> {
        let (len, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        std::str::from_utf8(self.take(usize::from(u16::from_be_bytes(*len)))?).ok()
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        self.take(usize::try_from(u32::from_be_bytes(*len)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute() -> impl Strategy<Value = AttributeValue> {
        prop_oneof![
            ("(String|Number)(\\.[a-z]{1,5})?", ".{1,20}").prop_map(|(data_type, text)| {
                AttributeValue {
                    data_type,
                    string_value: Some(text),
                    ..AttributeValue::default()
                }
            }),
            proptest::collection::vec(any::<u8>(), 1..20).prop_map(|bytes| AttributeValue {
                data_type: "Binary".to_owned(),
                binary_value: Some(STANDARD.encode(bytes)),
                ..AttributeValue::default()
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_head_reads_back(
            was_base64: bool,
            trace in proptest::option::of("[ -~]{1,50}"),
            group in proptest::option::of("[!-~]{1,50}"),
            attributes in proptest::collection::btree_map("[a-zA-Z0-9_.-]{1,20}", attribute(), 0..10),
        ) {
            let head = SqsHead { was_base64, trace, group, attributes };
            prop_assert_eq!(SqsHead::decode(&head.encode()), head);
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SqsHead::decode(&bytes);
        }
    }
}
