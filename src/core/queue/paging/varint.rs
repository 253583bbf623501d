//! Integers of variable length, for what is put aside and never read by another process.

/// What was put aside cannot be what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was put aside is damaged")]
pub(in crate::core) struct Garbled;

/// Appends `value`, 7 bits a byte, the lowest first; the top bit says that more follow.
pub(in crate::core) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the difference of two numbers, small ones of either sign in few bytes.
pub(in crate::core) fn put_step(out: &mut Vec<u8>, from: u64, to: u64) {
    let step = to.wrapping_sub(from).cast_signed();
    put(out, ((step << 1) ^ (step >> 63)).cast_unsigned());
}

/// Appends a length and the bytes.
pub(in crate::core) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of `input`.
pub(in crate::core) struct Input<'a>(pub(in crate::core) &'a [u8]);

impl<'a> Input<'a> {
    /// One byte.
    pub(in crate::core) fn byte(&mut self) -> Result<u8, Garbled> {
        let (first, rest) = self.0.split_first().ok_or(Garbled)?;
        self.0 = rest;
        Ok(*first)
    }

    /// What [`put`] appended.
    pub(in crate::core) fn int(&mut self) -> Result<u64, Garbled> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Garbled)
    }

    /// An [`Input::int`] of a smaller type.
    pub(in crate::core) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Garbled> {
        T::try_from(self.int()?).map_err(|_| Garbled)
    }

    /// What [`put_step`] appended, from the same number.
    pub(in crate::core) fn step(&mut self, from: u64) -> Result<u64, Garbled> {
        let code = self.int()?;
        let step = (code >> 1).cast_signed() ^ -((code & 1).cast_signed());
        Ok(from.wrapping_add(step.cast_unsigned()))
    }

    /// What [`put_bytes`] appended.
    pub(in crate::core) fn bytes(&mut self) -> Result<&'a [u8], Garbled> {
        let len: usize = self.small()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Garbled)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// What [`put_bytes`] appended, as text.
    pub(in crate::core) fn text(&mut self) -> Result<&'a str, Garbled> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Garbled)
    }

    /// Whether everything was read.
    pub(in crate::core) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64, from: u64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put(&mut out, value);
            put_step(&mut out, from, value);
            put_bytes(&mut out, &bytes);
            let mut input = Input(&out);
            prop_assert_eq!(input.int(), Ok(value));
            prop_assert_eq!(input.step(from), Ok(value));
            prop_assert_eq!(input.bytes(), Ok(&bytes[..]));
            prop_assert!(input.is_empty());
        }
    }
}
