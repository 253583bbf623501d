//! Passwords become verifiers the moment they are set, and nothing keeps the password.
//!
//! Two are made at once, because each can only be made from the password: argon2id for everybody
//! who sends it in clear (PLAIN, AMQPLAIN, MQTT, STOMP), SCRAM-SHA-256 (RFC 5802, RFC 7677) for
//! those who never send it.

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use super::error::AuthError;
use super::secret::Secret;

/// Longest password in bytes: whatever is sent is hashed, so it has a bound.
pub(super) const PASSWORD_MAX_BYTES: usize = 1024;

/// How much work a verifier costs whoever tries passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory of one argon2id run in KiB.
    pub argon2_kib: u32,
    /// Passes of one argon2id run over its memory.
    pub argon2_passes: u32,
    /// Rounds of PBKDF2 in a SCRAM verifier.
    pub scram_rounds: u32,
}

impl Cost {
    /// OWASP's first choice for argon2id (19 MiB, 2 passes): about 20 ms. SCRAM clients repeat the
    /// rounds at each login, so these stay near RFC 7677's floor of 4096.
    pub const DEFAULT: Self = Self {
        argon2_kib: 19 * 1024,
        argon2_passes: 2,
        scram_rounds: 8192,
    };
}

impl Default for Cost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is kept of a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verifiers {
    /// argon2id in PHC text form, parameters and salt included.
    pub argon2: String,
    /// SCRAM-SHA-256.
    pub scram: ScramVerifier,
}

/// What a SCRAM-SHA-256 server keeps (RFC 5802 §3); binary parts in base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScramVerifier {
    /// Salt of the PBKDF2 run.
    pub salt: String,
    /// Its rounds.
    pub rounds: u32,
    /// Proves the client.
    pub stored_key: String,
    /// Proves the server.
    pub server_key: String,
}

impl Verifiers {
    /// Makes both verifiers. Blocks for tens of milliseconds.
    ///
    /// # Errors
    /// [`AuthError::PasswordLength`] and [`AuthError::Hash`].
    pub fn make(password: &Secret, cost: Cost) -> Result<Self, AuthError> {
        let bytes = password.expose();
        if bytes.is_empty() || bytes.len() > PASSWORD_MAX_BYTES {
            return Err(AuthError::PasswordLength {
                bytes: bytes.len(),
                max: PASSWORD_MAX_BYTES,
            });
        }
        let params =
            Params::new(cost.argon2_kib, cost.argon2_passes, 1, None).map_err(hash_error)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = argon2.hash_password(bytes).map_err(hash_error)?;
        Ok(Self {
            argon2: hash.to_string(),
            scram: ScramVerifier::make(bytes, cost.scram_rounds)?,
        })
    }

    /// Whether this is the password. Blocks for tens of milliseconds.
    pub fn verify(&self, password: &Secret) -> bool {
        if password.expose().len() > PASSWORD_MAX_BYTES {
            return false;
        }
        // Parameters and salt come from the hash, so verifiers of an older cost stay valid.
        PasswordHash::new(&self.argon2).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.expose(), &hash)
                .is_ok()
        })
    }
}

impl ScramVerifier {
    fn make(password: &[u8], rounds: u32) -> Result<Self, AuthError> {
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(hash_error)?;
        Ok(Self::derive(password, &salt, rounds))
    }

    /// RFC 5802 §3: StoredKey = H(HMAC(SaltedPassword, "Client Key")). The password's bytes are used
    /// as they were set, without SASLprep: ASCII is what clients agree on.
    fn derive(password: &[u8], salt: &[u8], rounds: u32) -> Self {
        let salted: [u8; 32] = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, rounds);
        let client_key = hmac_sha256(&salted, b"Client Key");
        Self {
            salt: STANDARD.encode(salt),
            rounds,
            stored_key: STANDARD.encode(Sha256::digest(client_key)),
            server_key: STANDARD.encode(hmac_sha256(&salted, b"Server Key")),
        }
    }
}

/// HMAC-SHA-256 of one text.
pub(super) fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn hash_error(error: impl std::fmt::Display) -> AuthError {
    AuthError::Hash(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cheap enough for an unoptimised build.
    const CHEAP: Cost = Cost {
        argon2_kib: 8,
        argon2_passes: 1,
        scram_rounds: 2,
    };

    #[test]
    fn only_the_password_verifies() {
        let verifiers = Verifiers::make(&Secret::new("correct horse"), CHEAP).unwrap();
        assert!(verifiers.verify(&Secret::new("correct horse")));
        assert!(!verifiers.verify(&Secret::new("correct horsf")));
        assert!(!verifiers.verify(&Secret::new("")));
    }

    #[test]
    fn the_password_is_not_kept() {
        let verifiers = Verifiers::make(&Secret::new("correct horse"), CHEAP).unwrap();
        assert!(verifiers.argon2.starts_with("$argon2id$v=19$"));
        assert!(!serde_json::to_string(&verifiers).unwrap().contains("horse"));
    }

    #[test]
    fn rfc_7677_example_derives_the_same_keys() {
        // RFC 7677 §3: user "user", password "pencil"; its client proof and server signature follow
        // from these keys over the example's AuthMessage.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let scram = ScramVerifier::derive(b"pencil", &salt, 4096);
        let auth_message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server_key = STANDARD.decode(scram.server_key).unwrap();
        let signature = STANDARD.encode(hmac_sha256(&server_key, auth_message.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        // ClientProof XOR HMAC(StoredKey, AuthMessage) gives the ClientKey, whose hash is StoredKey.
        let stored_key = STANDARD.decode(&scram.stored_key).unwrap();
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let client_signature = hmac_sha256(&stored_key, auth_message.as_bytes());
        let client_key: Vec<u8> = proof
            .iter()
            .zip(client_signature)
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(
            STANDARD.encode(Sha256::digest(client_key)),
            scram.stored_key
        );
    }
}
