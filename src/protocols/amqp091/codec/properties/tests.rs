//! What may be changed in a property block, and what stays.

use super::*;
use crate::protocols::amqp091::codec::field::FieldTable;
use crate::protocols::amqp091::codec::field::FieldValue;

fn short(text: &str) -> Option<ShortStr<'_>> {
    Some(ShortStr::try_from(text).unwrap())
}

/// A block with headers `a` = 1, `b` = 2, `a` = 3, and values on both sides of them.
fn block() -> Vec<u8> {
    let headers = FieldTable::new()
        .with("a", FieldValue::I64Spec(1))
        .with("b", FieldValue::I8(2))
        .with("a", FieldValue::I8(3))
        .to_bytes()
        .unwrap();
    PropertyFields {
        content_type: short("text/plain"),
        headers: Some(RawTable::parse(&headers).unwrap()),
        delivery_mode: Some(2),
        expiration: short("60000"),
        message_id: short("m"),
        timestamp: Some(1),
        ..PropertyFields::default()
    }
    .to_bytes()
}

fn headers_of(raw: &[u8]) -> Vec<(Vec<u8>, FieldValue)> {
    let headers = Properties::parse(raw).unwrap().headers().unwrap();
    headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.into()))
        .collect()
}

#[test]
fn a_rewrite_without_changes_gives_the_same_bytes() {
    let raw = block();
    let properties = Properties::parse(&raw).unwrap();
    assert_eq!(Rewrite::default().apply(properties).unwrap(), raw);
    assert_eq!(with_headers(properties, &[]).unwrap(), raw);
}

#[test]
fn a_new_header_is_appended_behind_the_old_bytes() {
    let raw = block();
    let old = Properties::parse(&raw).unwrap();
    let changed = with_headers(old, &[(b"x-death", FieldValue::Bool(true))]).unwrap();
    let new = Properties::parse(&changed).unwrap();
    let entries = new.headers().unwrap().as_bytes();
    let kept = entries.strip_prefix(old.headers().unwrap().as_bytes());
    assert_eq!(kept.unwrap(), b"\x07x-deatht\x01");
    let without = |fields: PropertyFields<'_>| {
        PropertyFields {
            headers: None,
            ..fields
        }
        .to_bytes()
    };
    assert_eq!(without(new.fields()), without(old.fields()));
}

#[test]
fn a_changed_header_keeps_its_place_and_loses_its_repetitions() {
    let raw = block();
    let properties = Properties::parse(&raw).unwrap();
    let changed = with_headers(properties, &[(b"a", FieldValue::Void)]).unwrap();
    let expected = [
        (b"a".to_vec(), FieldValue::Void),
        (b"b".to_vec(), FieldValue::I8(2)),
    ];
    assert_eq!(headers_of(&changed), expected);
}

#[test]
fn a_removed_header_goes_with_its_repetitions_and_an_empty_table_with_it() {
    let raw = block();
    let properties = Properties::parse(&raw).unwrap();
    let remove = |names: &[&[u8]]| {
        Rewrite {
            remove_headers: names,
            ..Rewrite::default()
        }
        .apply(properties)
        .unwrap()
    };
    assert_eq!(
        headers_of(&remove(&[b"a"])),
        [(b"b".to_vec(), FieldValue::I8(2))]
    );
    let bare = remove(&[b"a", b"b"]);
    let bare = Properties::parse(&bare).unwrap();
    assert_eq!(bare.headers(), None);
    assert_eq!(bare.message_id(), short("m"));
}

#[test]
fn headers_are_added_to_a_block_that_had_none() {
    let properties = Properties::parse(Properties::NONE).unwrap();
    let changed = with_headers(properties, &[(b"n", FieldValue::I8(1))]).unwrap();
    assert_eq!(changed, b"\x20\x00\x00\x00\x00\x04\x01nb\x01");
}

#[test]
fn an_empty_table_stays_an_empty_table() {
    let raw = [0x20, 0, 0, 0, 0, 0];
    let properties = Properties::parse(&raw).unwrap();
    let same = Rewrite {
        remove_headers: &[b"a"],
        ..Rewrite::default()
    };
    assert_eq!(same.apply(properties).unwrap(), raw);
}

#[test]
fn the_expiration_goes_and_nothing_else() {
    let raw = block();
    let properties = Properties::parse(&raw).unwrap();
    let bare = without_expiration(properties).unwrap();
    let fields = PropertyFields {
        expiration: None,
        ..properties.fields()
    };
    assert_eq!(bare, fields.to_bytes());
    let bare = Properties::parse(&bare).unwrap();
    assert!(!bare.has_expiration());
    assert_eq!(without_expiration(bare).unwrap(), bare.as_bytes());
}

#[test]
fn a_rewrite_holds_the_bounds_of_reading() {
    let properties = Properties::parse(Properties::NONE).unwrap();
    let long = [b'n'; 256];
    let error = with_headers(properties, &[(&long, FieldValue::Void)]).unwrap_err();
    assert_eq!(error, CodecError::ShortStringTooLong(256));
    let mut deep = FieldValue::Void;
    for _ in 0..64 {
        deep = FieldValue::Array(vec![deep]);
    }
    let error = with_headers(properties, &[(b"n", deep)]).unwrap_err();
    assert_eq!(error, CodecError::TooDeep);
}

#[test]
fn persistence_is_delivery_mode_two() {
    let persistent = [0x10, 0, 2];
    assert!(Properties::parse(&persistent).unwrap().is_persistent());
    let transient = [0x10, 0, 1];
    assert!(!Properties::parse(&transient).unwrap().is_persistent());
    assert!(!Properties::parse(Properties::NONE).unwrap().is_persistent());
}

#[test]
fn unvalidated_bytes_have_no_properties_and_no_panic() {
    for raw in [&b""[..], b"\xff", b"\xff\xff", b"\xff\xff\x05ab"] {
        assert_eq!(
            Properties::of_validated(raw).fields(),
            PropertyFields::default()
        );
    }
}
