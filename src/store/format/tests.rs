use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::core::log::bodies::BodyId;
use crate::core::log::record::BodyFields;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Record;

use super::BodyFact;
use super::Fact;
use super::Version;
use super::arbitrary::record;
use super::decode;
use super::encode;
use super::fact_of;
use super::split;
use super::varint;

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(encode(record, &mut bytes), "a small record can be written");
    bytes
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(records in vec(record(), 0..6)) {
        let mut bytes = Vec::new();
        for record in &records {
            prop_assert!(encode(record, &mut bytes));
        }
        let mut rest = bytes.as_slice();
        for record in &records {
            let fields = split(&mut rest).expect("whole").expect("not the end");
            let decoded = decode(fields).expect("a record");
            prop_assert_eq!(format!("{decoded:?}"), format!("{record:?}"));
        }
        prop_assert_eq!(split(&mut rest), Ok(None));
    }

    #[test]
    fn a_fact_says_what_the_record_says(record in record()) {
        let bytes = encoded(&record);
        let fields = split(&mut bytes.as_slice()).expect("whole").expect("not the end");
        match (fact_of(Version::NEWEST, fields).expect("a fact"), record) {
            (Fact::Publish(message, entries), Record::Publish(publish)) => {
                let entries: Vec<_> = entries.map(|entry| entry.expect("good")).collect();
                prop_assert_eq!(entries.as_slice(), &*publish.entries);
                prop_assert_eq!(message.enqueued_at, publish.message.enqueued_at);
                let (chunks, body_bytes) = match publish.message.body {
                    BodyFields::Inline(ref parts) => (0, parts[0].len() as u64),
                    BodyFields::Chunks { chunks, bytes } => (chunks, bytes),
                    BodyFields::File { bytes, .. } => (0, bytes),
                };
                let file = match publish.message.body {
                    BodyFields::File { id, bytes } => Some(BodyFact { file: id, bytes }),
                    BodyFields::Inline(_) | BodyFields::Chunks { .. } => None,
                };
                // Without an id nothing wrote it.
                prop_assert_eq!(message.file, file.filter(|body| body.file != BodyId(0)));
                prop_assert_eq!((message.chunks, message.body_bytes), (chunks, body_bytes));
            }
            (Fact::Settle(of, refs), Record::Settle { queue, entries, .. }) => {
                let refs: Vec<_> = refs.map(|named| named.expect("good")).collect();
                prop_assert_eq!((of, refs.as_slice()), (queue, &*entries));
            }
            (Fact::Chunk, Record::Chunk { .. }) | (Fact::Tombstone, Record::Tombstone) => {}
            (Fact::Other(other), record) => {
                prop_assert_eq!(format!("{other:?}"), format!("{record:?}"));
            }
            (_, record) => prop_assert!(false, "another kind than {record:?}"),
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        match fact_of(Version::NEWEST, &bytes) {
            Ok(Fact::Publish(_, entries)) => drop(entries.count()),
            Ok(Fact::Settle(_, refs)) => drop(refs.count()),
            _ => {}
        }
        let _ = split(&mut bytes.as_slice());
    }

    #[test]
    fn a_damaged_record_gets_an_answer(record in record(), at in any::<Index>(), bits in 1..=255_u8) {
        let mut bytes = encoded(&record);
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        if let Ok(Some(fields)) = split(&mut bytes.as_slice()) {
            let _ = decode(fields);
        }
    }

    #[test]
    fn a_prefix_is_never_cut_off_as_a_record(record in record(), cut in any::<Index>()) {
        let bytes = encoded(&record);
        let cut = cut.index(bytes.len());
        let mut prefix = &bytes[..cut];
        prop_assert!(!matches!(split(&mut prefix), Ok(Some(_))));
    }

    #[test]
    fn integers_of_any_length_survive(value in any::<u64>(), shift in 0..64_u32) {
        let value = value >> shift;
        let mut bytes = Vec::new();
        varint::put(&mut bytes, value);
        prop_assert!(bytes.len() <= 10);
        prop_assert_eq!(varint::take(&mut bytes.as_slice()), Some(value));
        prop_assert_eq!(varint::unzigzag(varint::zigzag(value)), value);
    }
}

#[test]
fn an_integer_above_64_bits_is_refused() {
    let eleven = [0xff; 11];
    assert_eq!(varint::take(&mut eleven.as_slice()), None);
    let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
    assert_eq!(varint::take(&mut too_large.as_slice()), None);
}

#[test]
fn parts_of_a_body_are_written_one_after_the_other() {
    let schedule = |parts: Vec<&'static [u8]>| Record::Schedule {
        due: crate::core::model::time::CoreTime::from_ms(1),
        address: b"a",
        cancel_key: b"",
        message: MessageFields {
            body: BodyFields::Inline(Cow::Owned(parts)),
            ..MessageFields::default()
        },
    };
    assert_eq!(
        encoded(&schedule(vec![b"one", b"", b"two"])),
        encoded(&schedule(vec![b"onetwo"]))
    );
}

#[test]
fn zeros_are_no_record() {
    assert!(decode(&[0; 8]).is_err());
    let mut zeros = [0_u8; 8].as_slice();
    let record = split(&mut zeros).expect("a length").expect("of nothing");
    assert!(decode(record).is_err(), "a record has a kind");
}
