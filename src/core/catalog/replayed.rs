//! Bindings between the catalog and the topology, while a start reads them.
//!
//! A checkpoint names bindings before the exchanges and queues that they join, so they have to wait. There may be a
//! million of them: they wait as text, side by side in large blocks, which the system gets back as a whole.

/// Bytes of a block.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Changes of bindings in order.
///
/// INVARIANT: a block is a sequence of changes: a byte (1 = made, 0 = undone), the length of the key as `u32`,
/// little-endian, the key.
#[derive(Debug, Default)]
pub(super) struct Bindings(Vec<Vec<u8>>);

impl Bindings {
    /// Adds a change behind all others.
    pub(super) fn push(&mut self, key: &str, made: bool) {
        let Ok(len) = u32::try_from(key.len()) else {
            return; // no record of the log is that long
        };
        let needed = key.len() + 5;
        let has_room = |block: &&mut Vec<u8>| block.capacity() - block.len() >= needed;
        if self.0.last_mut().filter(has_room).is_none() {
            self.0.push(Vec::with_capacity(BLOCK_BYTES.max(needed)));
        }
        if let Some(block) = self.0.last_mut() {
            block.push(u8::from(made));
            block.extend_from_slice(&len.to_le_bytes());
            block.extend_from_slice(key.as_bytes());
        }
    }

    /// Hands every change over, in order.
    pub(super) fn visit(self, visit: &mut impl FnMut(&str, bool)) {
        for block in self.0 {
            let mut rest = &*block;
            while let Some((key, made)) = next(&mut rest) {
                visit(key, made);
            }
        }
    }
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(&'a str, bool)> {
    let (made, after) = rest.split_first()?;
    let (len, after) = after.split_first_chunk::<4>()?;
    let (key, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *rest = after;
    Some((std::str::from_utf8(key).ok()?, *made == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_in_order_whatever_their_length() {
        let long = "x".repeat(BLOCK_BYTES + 1);
        let keys: Vec<String> = (0..100_000).map(|n| format!("binding/{n}")).collect();
        let mut bindings = Bindings::default();
        bindings.push("", true);
        for key in &keys {
            bindings.push(key, key.len() % 2 == 0);
        }
        bindings.push(&long, false);
        assert!(bindings.0.len() > 2, "there are several blocks");
        let mut found = Vec::new();
        bindings.visit(&mut |key, made| found.push((key.to_owned(), made)));
        let expected = keys.into_iter().map(|key| (key.len() % 2 == 0, key));
        let mut expected: Vec<_> = expected.map(|(made, key)| (key, made)).collect();
        expected.insert(0, (String::new(), true));
        expected.push((long, false));
        assert_eq!(found, expected);
    }
}
