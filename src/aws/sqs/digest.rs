//! The MD5 digests of SQS, which SDKs verify: a wrong one is an error at the client.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Digest;
use md5::Md5;

use super::types::AttributeValue;
use super::types::AttributeValues;

/// Digest of a body.
#[must_use]
pub fn of_body(body: &str) -> String {
    hex(&Md5::digest(body.as_bytes()))
}

/// Digest of message attributes; `None` when there are none, as AWS leaves it out.
///
/// Sorted by name: length and name, length and type, `1` for text or `2` for bytes, length and value;
/// lengths are 32 bits, big-endian.
#[must_use]
pub fn of_attributes(attributes: &AttributeValues) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut md5 = Md5::new();
    for (name, value) in attributes {
        part(&mut md5, name.as_bytes());
        part(&mut md5, value.data_type.as_bytes());
        match value {
            AttributeValue {
                binary_value: Some(binary),
                ..
            } => {
                md5.update([2]);
                part(&mut md5, &STANDARD.decode(binary).unwrap_or_default());
            }
            AttributeValue { string_value, .. } => {
                md5.update([1]);
                part(
                    &mut md5,
                    string_value.as_deref().unwrap_or_default().as_bytes(),
                );
            }
        }
    }
    Some(hex(&md5.finalize()))
}

fn part(md5: &mut Md5, bytes: &[u8]) {
    // What is hashed was checked against the size limit of 1 MiB.
    md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    md5.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data_type: &str, value: &str) -> AttributeValue {
        AttributeValue {
            data_type: data_type.to_owned(),
            string_value: Some(value.to_owned()),
            ..AttributeValue::default()
        }
    }

    #[test]
    fn the_body_is_hashed_as_utf8() {
        assert_eq!(of_body(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
    }

    #[test]
    fn attributes_hash_as_the_sdks_compute_it() {
        let mut attributes = AttributeValues::new();
        assert_eq!(of_attributes(&attributes), None);
        attributes.insert("number".to_owned(), text("Number.int", "42"));
        attributes.insert("Text".to_owned(), text("String", "gr\u{fc}\u{df}e"));
        attributes.insert(
            "binary".to_owned(),
            AttributeValue {
                data_type: "Binary".to_owned(),
                binary_value: Some("AAEC/w==".to_owned()),
                ..AttributeValue::default()
            },
        );
        assert_eq!(
            of_attributes(&attributes).as_deref(),
            Some("bfc92230343008177b1482c43e8c7309")
        );
    }
}
