//! Bounds, look-ups and RabbitMQ's reading of the tags.

use super::*;
use crate::protocols::amqp091::codec::error::CodecError;

/// A table whose only entry is an array in an array in an array …, `levels` with the table.
fn nested_arrays(levels: usize) -> Vec<u8> {
    let mut value = vec![b'V'];
    for _ in 1..levels {
        value = sized(b'A', &value);
    }
    [&[0][..], &value].concat()
}

/// A table in a table in a table …
fn nested_tables(levels: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 1..levels {
        table = [&[1, b'n'][..], &sized(b'F', &table)].concat();
    }
    table
}

fn sized(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag][..], &len, content].concat()
}

#[test]
fn nesting_ends_at_64_levels() {
    for nested in [nested_arrays, nested_tables] {
        assert!(RawTable::parse(&nested(MAX_DEPTH)).is_ok());
        let too_deep = nested(MAX_DEPTH + 1);
        assert_eq!(RawTable::parse(&too_deep), Err(CodecError::TooDeep));
    }
}

#[test]
fn fifteen_thousand_levels_are_an_error_and_not_a_crash() {
    // A stack far smaller than any that the broker runs on.
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    let answers = small.spawn(|| {
        [nested_arrays(15_000), nested_tables(15_000)].map(|bytes| FieldTable::decode(&bytes))
    });
    for answer in answers.unwrap().join().unwrap() {
        assert_eq!(answer, Err(CodecError::TooDeep));
    }
}

#[test]
fn the_deepest_table_goes_through_everything_on_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    let ran = small.spawn(|| {
        let bytes = nested_tables(MAX_DEPTH);
        let table = FieldTable::decode(&bytes).unwrap();
        assert_eq!(table.to_bytes().unwrap(), bytes);
        assert_eq!(table.clone(), table);
    });
    ran.unwrap().join().unwrap();
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let mut table = FieldTable::new();
    for _ in 0..MAX_DEPTH {
        table = FieldTable::new().with("n", FieldValue::Table(table));
    }
    assert_eq!(table.to_bytes(), Err(CodecError::TooDeep));
    let long = "n".repeat(256);
    let table = FieldTable::new().with(&long, FieldValue::Void);
    assert_eq!(table.to_bytes(), Err(CodecError::ShortStringTooLong(256)));
}

#[test]
fn the_number_of_values_is_bounded() {
    let array = |values| [&[0][..], &sized(b'A', &vec![b'V'; values])].concat();
    // The array is a value, too.
    assert!(RawTable::parse(&array(MAX_VALUES - 1)).is_ok());
    let many = array(MAX_VALUES);
    assert_eq!(RawTable::parse(&many), Err(CodecError::TooManyValues));
}

#[test]
fn a_boolean_is_true_unless_zero() {
    let table = FieldTable::decode(b"\x01at\x02").unwrap();
    assert_eq!(table.get(b"a"), Some(&FieldValue::Bool(true)));
}

#[test]
fn the_first_of_a_repeated_name_counts() {
    let bytes = b"\x01ab\x01\x01ab\x02";
    let raw = RawTable::parse(bytes).unwrap();
    assert_eq!(raw.get(b"a"), Some(RawValue::I8(1)));
    assert_eq!(raw.iter().count(), 2);
    assert_eq!(raw.get(b"b"), None);
    assert_eq!(raw.to_owned().get(b"a"), Some(&FieldValue::I8(1)));
}

#[test]
fn an_integer_is_one_whatever_its_tag() {
    let table = FieldTable::new()
        .with("a", FieldValue::U8(7))
        .with("b", FieldValue::I16Spec(7))
        .with("c", FieldValue::I64Spec(7))
        .with("d", FieldValue::U32(7))
        .to_bytes()
        .unwrap();
    let raw = RawTable::parse(&table).unwrap();
    assert!(raw.iter().all(|(_, value)| value.as_i64() == Some(7)));
    assert_eq!(RawValue::Bool(true).as_i64(), None);
    assert_eq!(RawValue::Bool(true).as_bool(), Some(true));
    assert_eq!(RawValue::LongString(b"text").as_str(), Some("text"));
    assert_eq!(RawValue::LongString(b"\xff").as_str(), None);
}

#[test]
fn types_have_the_names_that_rabbitmq_prints() {
    assert_eq!(FieldValue::I32(1).type_name(), "signedint");
    assert_eq!(FieldValue::text("a").type_name(), "longstr");
    assert_eq!(FieldValue::I64Spec(1).type_name(), "long");
}
