//! SASL mechanisms that carry a password, as pure functions on the client's bytes.
//!
//! PLAIN (RFC 4616): `authzid NUL authcid NUL password`.
//! AMQPLAIN (AMQP 0-8): a field table without its length, `LOGIN` and `PASSWORD` as long strings.

use super::password::PASSWORD_MAX_BYTES;
use super::secret::Secret;
use super::user::UserName;

/// A user name and password as a client presented them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Who it says it is.
    pub user: UserName,
    /// How it proves it.
    pub password: Secret,
}

/// A response that is not of its mechanism's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Bytes are missing or left over.
    #[error("malformed response")]
    Malformed,
    /// The user name is not UTF-8, empty, or too long.
    #[error("unusable user name")]
    UserName,
    /// The password is longer than any that could have been set.
    #[error("password too long")]
    PasswordTooLong,
    /// The client wants to act for somebody else.
    #[error("acting for another user is not supported")]
    Authorization,
    /// `LOGIN` or `PASSWORD` is not in the table, or is there twice.
    #[error("the table needs one LOGIN and one PASSWORD as long strings")]
    MissingField,
}

/// Reads a PLAIN response.
///
/// # Errors
/// [`SaslError`] says what is wrong with it.
pub fn plain(response: &[u8]) -> Result<Credentials, SaslError> {
    let mut parts = response.split(|byte| *byte == 0);
    let (Some(authzid), Some(authcid), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    if !authzid.is_empty() && authzid != authcid {
        return Err(SaslError::Authorization);
    }
    credentials(authcid, password)
}

/// Reads an AMQPLAIN response.
///
/// # Errors
/// [`SaslError`] says what is wrong with it.
pub fn amqplain(response: &[u8]) -> Result<Credentials, SaslError> {
    let (mut login, mut password) = (None, None);
    let mut table = Table(response);
    while let Some((name, value)) = table.next_field()? {
        let slot = match name {
            b"LOGIN" => &mut login,
            b"PASSWORD" => &mut password,
            _ => continue,
        };
        let text = value.ok_or(SaslError::MissingField)?;
        if slot.replace(text).is_some() {
            return Err(SaslError::MissingField);
        }
    }
    match (login, password) {
        (Some(login), Some(password)) => credentials(login, password),
        _ => Err(SaslError::MissingField),
    }
}

fn credentials(user: &[u8], password: &[u8]) -> Result<Credentials, SaslError> {
    if password.len() > PASSWORD_MAX_BYTES {
        return Err(SaslError::PasswordTooLong);
    }
    let user = std::str::from_utf8(user)
        .ok()
        .and_then(|user| UserName::parse(user).ok());
    Ok(Credentials {
        user: user.ok_or(SaslError::UserName)?,
        password: Secret::new(password),
    })
}

/// The fields of an AMQP table, one after the other. Nested tables and arrays are stepped over by
/// their length and never entered, so no depth can hurt.
struct Table<'a>(&'a [u8]);

impl<'a> Table<'a> {
    /// The next field's name, and its text if it is a long string.
    #[expect(
        clippy::type_complexity,
        reason = "a private pair that is taken apart at once"
    )]
    fn next_field(&mut self) -> Result<Option<(&'a [u8], Option<&'a [u8]>)>, SaslError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let [name_bytes] = *self.array::<1>()?;
        let name = self.take(usize::from(name_bytes))?;
        let [kind] = *self.array::<1>()?;
        let text = match kind {
            b'S' => Some(self.counted()?),
            b'x' | b'F' | b'A' => {
                self.counted()?;
                None
            }
            other => {
                self.take(fixed_bytes(other).ok_or(SaslError::Malformed)?)?;
                None
            }
        };
        Ok(Some((name, text)))
    }

    /// What a 32-bit length in network order announces.
    fn counted(&mut self) -> Result<&'a [u8], SaslError> {
        let bytes = u32::from_be_bytes(*self.array::<4>()?);
        self.take(usize::try_from(bytes).map_err(|_| SaslError::Malformed)?)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], SaslError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(SaslError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], SaslError> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(SaslError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Size of a value of fixed size, by its type letter as RabbitMQ reads it.
fn fixed_bytes(kind: u8) -> Option<usize> {
    match kind {
        b'V' => Some(0),
        b't' | b'b' | b'B' => Some(1),
        b's' | b'u' => Some(2),
        b'I' | b'i' | b'f' => Some(4),
        b'D' => Some(5),
        b'l' | b'L' | b'd' | b'T' => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(credentials: &Credentials) -> (&str, &[u8]) {
        (credentials.user.as_str(), credentials.password.expose())
    }

    #[test]
    fn plain_takes_the_form_that_clients_send() {
        assert_eq!(
            pair(&plain(b"\0guest\0secret").unwrap()),
            ("guest", &b"secret"[..])
        );
        assert_eq!(
            pair(&plain(b"guest\0guest\0").unwrap()),
            ("guest", &b""[..])
        );
    }

    #[test]
    fn plain_refuses_other_forms() {
        for (bytes, error) in [
            (&b""[..], SaslError::Malformed),
            (b"guest\0guest", SaslError::Malformed),
            (b"\0guest\0a\0b", SaslError::Malformed),
            (b"\0\0secret", SaslError::UserName),
            (b"\0\xff\0secret", SaslError::UserName),
            (b"admin\0guest\0secret", SaslError::Authorization),
        ] {
            assert_eq!(plain(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn amqplain_finds_its_two_fields_among_others() {
        let table = b"\x05LOGINS\0\0\0\x05guest\x01xF\0\0\0\x03???\x08PASSWORDS\0\0\0\x01p";
        assert_eq!(pair(&amqplain(table).unwrap()), ("guest", &b"p"[..]));
    }

    #[test]
    fn amqplain_refuses_other_tables() {
        for (bytes, error) in [
            (&b""[..], SaslError::MissingField),
            (b"\x05LOGINS\0\0\0\x05guest", SaslError::MissingField),
            (b"\x05LOGINS\0\0\0\x05gue", SaslError::Malformed),
            (b"\x05LOGINS\xff\xff\xff\xffguest", SaslError::Malformed),
            (b"\x05LOGINI\0\0\0\x05", SaslError::MissingField),
            (b"\x05LOGIN?", SaslError::Malformed),
        ] {
            assert_eq!(amqplain(bytes), Err(error), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_response_gets_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = plain(&bytes);
            let _ = amqplain(&bytes);
        }
    }
}
