//! The other side: signs requests in their `Authorization` header, as an SDK does.
//!
//! The broker signs nothing itself; its load generator is a client. Signing goes through the same
//! canonical form as verifying, and is checked against signatures of botocore.

use sha2::Digest;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::SignedRequest;
use super::canonical;
use super::claim::TERMINATOR;
use super::claim::hex;
use super::claim::sign;
use super::claim::signing_key;
use super::claim::to_sign;
use super::date;
use super::parse::ALGORITHM;

/// An access key with what its signatures are scoped to.
pub struct Signer {
    key_id: String,
    secret: Zeroizing<Vec<u8>>,
    region: String,
    service: String,
    /// The day's key, which is good for every request of the day.
    of_day: Option<(String, Zeroizing<[u8; 32]>)>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer for one region and service.
    pub fn new(key_id: String, secret: Zeroizing<Vec<u8>>, region: &str, service: &str) -> Self {
        Self {
            key_id,
            secret,
            region: region.to_owned(),
            service: service.to_owned(),
            of_day: None,
        }
    }

    /// The value of `X-Amz-Date` for a time in seconds since 1970.
    pub fn date(now: i64) -> String {
        date::print(now)
    }

    /// The value of `Authorization` for a request whose headers are complete but for it: all of them
    /// are signed, and `host` and `x-amz-date` must be among them. `date` is that of `x-amz-date`.
    pub fn authorization(
        &mut self,
        request: &SignedRequest<'_>,
        body: &[u8],
        date: &str,
    ) -> String {
        let mut names: Vec<String> = request
            .headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        names.sort();
        let canonical = canonical::request(request, &names, &hex(&Sha256::digest(body)));
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/{TERMINATOR}", self.region, self.service);
        let text = to_sign(date, &scope, &canonical);
        let signature = hex(&*sign(&*self.key(day), text.as_bytes()));
        let key_id = &self.key_id;
        let names = names.join(";");
        format!(
            "{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
    }

    fn key(&mut self, day: &str) -> Zeroizing<[u8; 32]> {
        if let Some((of, key)) = &self.of_day
            && of == day
        {
            return key.clone();
        }
        let key = signing_key(&self.secret, day, &self.region, &self.service);
        self.of_day = Some((day.to_owned(), key.clone()));
        key
    }
}
