//! Topics and filters: lists of levels, and how a door writes them.
//!
//! A level is bytes. What a door would misread inside one (its separator, its wildcards, NUL) is written
//! as `%XX` in upper case, and so is a `%` in front of what this door would take for such a code; a door
//! decodes exactly those codes, once (SEMANTICS §13). So a topic survives every way through every door.

use std::borrow::Cow;

/// How a door writes topics and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Stands between two levels.
    separator: u8,
    /// As a whole level of a filter: any one level.
    one: u8,
    /// As a whole level of a filter: any number of levels, none included.
    many: u8,
    /// Whether text of this door has to be UTF-8.
    utf8: bool,
}

/// AMQP, all versions: `a.*.c`, `a.#` (0-9-1 §3.1.3.3). A routing key may be any bytes. A key without
/// bytes has no levels, while `.` has two empty ones.
pub const AMQP: Dialect = Dialect {
    separator: b'.',
    one: b'*',
    many: b'#',
    utf8: false,
};

/// One level of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FilterLevel {
    /// Exactly this level.
    Level(Box<[u8]>),
    /// Any one level.
    One,
    /// Any number of levels, none included.
    Many,
}

impl Dialect {
    /// The levels of a topic, borrowed where no code had to be decoded.
    pub fn levels(self, text: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.split(text).map(move |level| self.decode(level))
    }

    /// The levels of a filter. Neighbouring wildcards for any number of levels become one, which matches
    /// the same.
    pub fn filter(self, text: &[u8]) -> Vec<FilterLevel> {
        let mut levels: Vec<_> = self
            .split(text)
            .map(|level| match level {
                [byte] if *byte == self.one => FilterLevel::One,
                [byte] if *byte == self.many => FilterLevel::Many,
                level => FilterLevel::Level(self.decode(level).into()),
            })
            .collect();
        levels.dedup_by(|a, b| *a == FilterLevel::Many && *b == FilterLevel::Many);
        levels
    }

    /// Writes levels for this door: [`Dialect::levels`] reads them back, but for one empty level alone,
    /// which no door can write.
    pub fn print<'a>(self, levels: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, level) in levels.into_iter().enumerate() {
            if at > 0 {
                out.push(self.separator);
            }
            self.print_level(level, &mut out);
        }
        out
    }

    fn print_level(self, level: &[u8], out: &mut Vec<u8>) {
        let mut rest = level;
        while let Some((&byte, after)) = rest.split_first() {
            let (keep, len) = match (self.utf8, utf8_len(rest)) {
                (true, Some(len)) if byte >= 0x80 => (true, len),
                (true, None) => (false, 1),
                (_, _) if byte == b'%' => (self.code(rest).is_none(), 1),
                (_, _) => (!self.is_escaped(byte), 1),
            };
            if keep {
                out.extend_from_slice(rest.get(..len).unwrap_or_default());
            } else {
                out.extend_from_slice(&[b'%', upper_hex(byte >> 4), upper_hex(byte & 0xF)]);
            }
            rest = rest.get(len..).unwrap_or(after);
        }
    }

    fn split(self, text: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut rest = Some(text).filter(|text| !text.is_empty());
        std::iter::from_fn(move || {
            let text = rest?;
            let end = memchr::memchr(self.separator, text).unwrap_or(text.len());
            rest = text.get(end + 1..);
            text.get(..end)
        })
    }

    fn decode(self, level: &[u8]) -> Cow<'_, [u8]> {
        if memchr::memchr(b'%', level).is_none() {
            return Cow::Borrowed(level);
        }
        let mut out = Vec::with_capacity(level.len());
        let mut rest = level;
        while let Some((&byte, after)) = rest.split_first() {
            match self.code(rest) {
                Some(decoded) => {
                    out.push(decoded);
                    rest = rest.get(3..).unwrap_or_default();
                }
                None => {
                    out.push(byte);
                    rest = after;
                }
            }
        }
        Cow::Owned(out)
    }

    /// What the code that `text` starts with stands for, if it is one that this door decodes.
    fn code(self, text: &[u8]) -> Option<u8> {
        let [b'%', high, low, ..] = text else {
            return None;
        };
        let byte = (upper_hex_digit(*high)? << 4) | upper_hex_digit(*low)?;
        let known = byte == b'%' || self.is_escaped(byte) || (self.utf8 && byte >= 0x80);
        known.then_some(byte)
    }

    fn is_escaped(self, byte: u8) -> bool {
        byte == self.separator || byte == self.one || byte == self.many || byte == 0
    }
}

/// Length of the UTF-8 character that `bytes` start with; none if they start with no such thing.
fn utf8_len(bytes: &[u8]) -> Option<usize> {
    let start = bytes.get(..bytes.len().min(4))?;
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(start.get(..error.valid_up_to())?).ok()?,
    };
    valid.chars().next().map(char::len_utf8)
}

fn upper_hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble & 0xF) - 10,
    }
}

fn upper_hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A door whose text is UTF-8 and whose wildcards differ, to hold the rules themselves.
    const UTF8: Dialect = Dialect {
        separator: b'/',
        one: b'+',
        many: b'#',
        utf8: true,
    };

    fn amqp(text: &str) -> Vec<Vec<u8>> {
        AMQP.levels(text.as_bytes()).map(Cow::into_owned).collect()
    }

    #[test]
    fn a_key_without_bytes_has_no_levels_and_empty_levels_count() {
        assert_eq!(amqp(""), Vec::<Vec<u8>>::new());
        assert_eq!(amqp("a"), vec![b"a".to_vec()]);
        assert_eq!(amqp("."), vec![b"".to_vec(), b"".to_vec()]);
        assert_eq!(
            amqp(".a..b"),
            vec![vec![], b"a".to_vec(), vec![], b"b".to_vec()]
        );
    }

    #[test]
    fn a_door_decodes_its_own_codes_once_and_no_others() {
        assert_eq!(amqp("a%2Eb.%2A%23"), vec![b"a.b".to_vec(), b"*#".to_vec()]);
        assert_eq!(amqp("%252E"), vec![b"%2E".to_vec()]);
        assert_eq!(
            amqp("%2e.%2F.%41.%.%2"),
            ["%2e", "%2F", "%41", "%", "%2"].map(Vec::from)
        );
    }

    #[test]
    fn a_wildcard_is_a_whole_level() {
        assert_eq!(
            AMQP.filter(b"*.a*.#.#.%23"),
            vec![
                FilterLevel::One,
                FilterLevel::Level(b"a*".to_vec().into()),
                FilterLevel::Many,
                FilterLevel::Level(b"#".to_vec().into()),
            ]
        );
    }

    #[test]
    fn what_another_door_would_misread_is_escaped() {
        assert_eq!(
            AMQP.print([&b"1.5"[..], b"50%", b"%2E", b"*"]),
            b"1%2E5.50%.%252E.%2A"
        );
        assert_eq!(
            UTF8.print([&b"a/b"[..], "é".as_bytes(), &[0xE9]]),
            "a%2Fb/é/%E9".as_bytes()
        );
    }

    fn level() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            prop::sample::select(vec![
                "%", "%25", "%2E", "%2F", "%C3", "%0", ".", "é", "€", "#"
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_topic_survives_being_printed(levels in vec(level(), 0..5)) {
            prop_assume!(levels != [Vec::<u8>::new()]);
            for dialect in [AMQP, UTF8] {
                let text = dialect.print(levels.iter().map(Vec::as_slice));
                prop_assert!(!dialect.utf8 || std::str::from_utf8(&text).is_ok());
                let back: Vec<_> = dialect.levels(&text).map(Cow::into_owned).collect();
                prop_assert_eq!(&back, &levels);
                let filter: Vec<_> = dialect.filter(&text);
                let literal: Vec<_> = levels.iter().map(|l| FilterLevel::Level(l.clone().into())).collect();
                prop_assert_eq!(filter, literal);
            }
        }
    }
}
