//! Filters as bytes: a tree keeps what only one filter has without a node for each of its levels.
//!
//! ```text
//! level = int: 0 one level · 1 any number of levels · n ≥ 2 a text of n − 2 bytes, which follow
//! int   = 7 bits a byte, the lowest first; the top bit says that more follow
//! ```

use smallvec::SmallVec;

use crate::core::route::topic::FilterLevel;

const ONE: usize = 0;
const MANY: usize = 1;
const TEXT: usize = 2;

/// One level of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level<'a> {
    /// Any one level.
    One,
    /// Any number of levels, none included.
    Many,
    /// Exactly this level.
    Text(&'a [u8]),
}

/// A filter as bytes: 255 is the longest that AMQP can write.
pub(super) fn encode(filter: &[FilterLevel]) -> SmallVec<[u8; 256]> {
    let mut out = SmallVec::new();
    for level in filter {
        match level {
            FilterLevel::One => put(ONE, &mut out),
            FilterLevel::Many => put(MANY, &mut out),
            FilterLevel::Level(text) => {
                put(TEXT + text.len(), &mut out);
                out.extend_from_slice(text);
            }
        }
    }
    out
}

/// The first level of [`encode`]'s bytes, and the others.
pub(super) fn split_first(filter: &[u8]) -> Option<(Level<'_>, &[u8])> {
    let (head, rest) = take(filter)?;
    match head {
        ONE => Some((Level::One, rest)),
        MANY => Some((Level::Many, rest)),
        head => {
            let (text, rest) = rest.split_at_checked(head - TEXT)?;
            Some((Level::Text(text), rest))
        }
    }
}

/// Whether a filter matches these levels. Only the last "any number" is ever tried again, for what an earlier one could
/// take instead, that one can take too: so it ends after filter × levels steps.
pub(super) fn matches<L: AsRef<[u8]>>(mut filter: &[u8], mut levels: &[L]) -> bool {
    // What follows the last "any number", and where that begins if it takes one level more.
    let mut again: Option<(&[u8], &[L])> = None;
    loop {
        match (split_first(filter), levels.split_first()) {
            (None, None) => return true,
            (Some((Level::Many, after)), first) => {
                again = first.map(|(_, more)| (after, more));
                filter = after;
                continue;
            }
            (Some((Level::One, after)), Some((_, more))) => {
                (filter, levels) = (after, more);
                continue;
            }
            (Some((Level::Text(text), after)), Some((level, more))) if level.as_ref() == text => {
                (filter, levels) = (after, more);
                continue;
            }
            (None | Some((Level::One | Level::Text(_), _)), _) => {}
        }
        let Some((after, from)) = again else {
            return false;
        };
        again = from.split_first().map(|(_, more)| (after, more));
        (filter, levels) = (after, from);
    }
}

fn put(mut number: usize, out: &mut SmallVec<[u8; 256]>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (mut number, mut rest) = (0, bytes);
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        number |= usize::from(byte & 0x7F) << shift;
        rest = after;
        if byte < 0x80 {
            return Some((number, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::route::topic::AMQP;

    #[test]
    fn levels_come_back_whatever_their_length() {
        for len in [0, 1, 125, 126, 127, 128, 20_000] {
            let text = vec![7; len];
            let levels = [
                FilterLevel::Many,
                FilterLevel::Level(text.clone().into()),
                FilterLevel::One,
            ];
            let filter = encode(&levels);
            let (first, rest) = split_first(&filter).unwrap();
            let (second, rest) = split_first(rest).unwrap();
            assert_eq!((first, second), (Level::Many, Level::Text(&text)));
            assert_eq!(split_first(rest), Some((Level::One, &[][..])));
        }
        assert_eq!(split_first(&[]), None);
    }

    #[test]
    fn many_wildcards_in_a_row_of_equal_levels_end_soon() {
        // A matcher that tries every split would need more steps than there are atoms.
        let filter = encode(&AMQP.filter(("#.a.".repeat(60) + "b").as_bytes()));
        let mut levels = vec!["a"; 120];
        assert!(!matches(&filter, &levels));
        levels.push("b");
        assert!(matches(&filter, &levels));
    }
}
