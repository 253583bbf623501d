//! The frames of `tests/frames/amqp091/*.hex`: read, understood and written back, byte for byte.
//!
//! A file holds frames under `[name]`, or `[name code]` when the frame is to be refused with that
//! reply code; `#` starts a comment, spaces group.

mod content;
mod methods;

use std::fs;
use std::path::Path;

use crate::protocols::amqp091::codec::content::ContentHeader;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::field::FieldValue;
use crate::protocols::amqp091::codec::frame::FrameKind;
use crate::protocols::amqp091::codec::frame::RawFrame;
use crate::protocols::amqp091::codec::frame::next_frame;
use crate::protocols::amqp091::codec::method::Method;
use crate::protocols::amqp091::codec::text::ShortStr;

pub(super) const FRAME_MAX: u32 = 131_072;

/// One frame of a file.
pub(super) struct Golden {
    pub(super) name: String,
    /// The reply code that refuses it.
    pub(super) refused: Option<u16>,
    pub(super) bytes: Vec<u8>,
}

/// Every frame of every file.
pub(super) fn all() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frames/amqp091");
    let mut frames = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            frames.extend(parse(&fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(!frames.is_empty(), "no frames in {}", folder.display());
    frames
}

fn parse(text: &str) -> Vec<Golden> {
    let mut frames: Vec<Golden> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap().trim();
        if let Some(head) = line.strip_prefix('[') {
            let mut words = head.strip_suffix(']').unwrap().split(' ');
            frames.push(Golden {
                name: words.next().unwrap().to_owned(),
                refused: words.next().map(|code| code.parse().unwrap()),
                bytes: Vec::new(),
            });
        } else if !line.is_empty() {
            let digits: String = line.split(' ').collect();
            assert_eq!(digits.len() % 2, 0, "{line}");
            let pairs = (0..digits.len()).step_by(2);
            let bytes = pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
            frames.last_mut().unwrap().bytes.extend(bytes);
        }
    }
    frames
}

fn golden(name: &str) -> Vec<u8> {
    let found = all().into_iter().find(|frame| frame.name == name);
    found.unwrap_or_else(|| panic!("no frame [{name}]")).bytes
}

/// Reads a frame to the last field, as a session does.
fn read_all(bytes: &[u8]) -> Result<RawFrame<'_>, CodecError> {
    let frame = next_frame(bytes, FRAME_MAX)?.expect("a whole frame");
    match frame.kind {
        FrameKind::Method => drop(Method::decode(frame.payload)?),
        FrameKind::Header => drop(ContentHeader::decode(frame.payload)?),
        FrameKind::Body | FrameKind::Heartbeat => {}
    }
    Ok(frame)
}

fn short(text: &str) -> ShortStr<'_> {
    ShortStr::try_from(text).unwrap()
}

fn text(text: &str) -> FieldValue {
    FieldValue::text(text)
}

#[test]
fn every_golden_frame_is_accepted_or_refused_as_it_says() {
    for Golden {
        name,
        refused,
        bytes,
    } in all()
    {
        let answer = read_all(&bytes).map(|frame| frame.wire_len());
        match refused {
            None => assert_eq!(answer, Ok(bytes.len()), "{name}"),
            Some(code) => {
                let error = answer.expect_err(&name);
                assert_eq!(error.reply_code().code(), code, "{name}: {error}");
                assert!(error.reply_code().is_hard(), "{name}");
            }
        }
    }
}

#[test]
fn a_client_may_not_send_what_only_a_server_sends() {
    let declare = golden("queue.declare");
    let payload = &declare[7..declare.len() - 1];
    assert!(Method::decode_from_client(payload).is_ok());
    let declare_ok = golden("queue.declare-ok");
    let payload = &declare_ok[7..declare_ok.len() - 1];
    let error = Method::decode_from_client(payload).unwrap_err();
    assert_eq!(error, CodecError::WrongDirection("queue.declare-ok"));
    assert_eq!(error.reply_code().code(), 503);
}

#[test]
fn only_four_methods_carry_content() {
    let with_content: Vec<String> = all()
        .into_iter()
        .filter(|frame| frame.refused.is_none() && frame.bytes[0] == 1)
        .filter(|frame| {
            let payload = &frame.bytes[7..frame.bytes.len() - 1];
            Method::decode(payload).unwrap().has_content()
        })
        .map(|frame| frame.name)
        .collect();
    let mut names: Vec<&str> = with_content.iter().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "basic.deliver",
        "basic.get-ok",
        "basic.publish",
        "basic.publish-latin1",
        "basic.return",
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_is_decoded_owns_no_memory() {
    // What is `Copy` has no destructor, so nothing that must be freed.
    fn is_copy<T: Copy>() -> usize {
        size_of::<T>()
    }
    // A method is moved on the hot path, so the widest of the cold ones counts, too.
    assert!(is_copy::<Method<'_>>() <= 96);
    is_copy::<ContentHeader<'_>>();
    is_copy::<RawFrame<'_>>();
    is_copy::<CodecError>();
}
