//! `MANIFEST`: what a backup holds.
//!
//! ```text
//! viaduct backup, format 1
//! uuid 0123456789abcdef0123456789abcdef
//! incarnation 7
//! checkpoint 1
//! upto 123456
//! file 4096 1a2b3c4d log/0000000001.seg     (bytes, CRC-32C, name; one line each)
//! crc 1a2b3c4d                              (CRC-32C of the lines before)
//! ```

use crate::core::model::ids::Identity;

use crate::store::embedded::meta::Meta;

use super::Saved;

const TITLE: &str = "viaduct backup, format 1";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// What the file `meta` said.
    pub(super) meta: Meta,
    /// The last record in it.
    pub(super) upto: u64,
    /// The files.
    pub(super) files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its place in the backup, which is that in the data dir.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// CRC-32C of it.
    pub(super) crc: u32,
}

impl Manifest {
    /// The file.
    pub(super) fn print(&self) -> String {
        let identity = self.meta.identity;
        let mut text = format!(
            "{TITLE}\nuuid {:032x}\nincarnation {}\ncheckpoint {}\nupto {}\n",
            identity.uuid,
            identity.incarnation,
            u8::from(self.meta.has_checkpoint),
            self.upto,
        );
        for file in &self.files {
            text += &format!("file {} {:08x} {}\n", file.bytes, file.crc, file.name);
        }
        let crc = crc32c::crc32c(text.as_bytes());
        text + &format!("crc {crc:08x}\n")
    }

    /// Reads the file; none if it is not what was written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let meta = Meta {
            identity: Identity {
                uuid: u128::from_str_radix(field("uuid")?, 16).ok()?,
                incarnation: field("incarnation")?.parse().ok()?,
            },
            has_checkpoint: field("checkpoint")? == "1",
        };
        let upto = field("upto")?.parse().ok()?;
        let files = lines
            .filter_map(|line| line.strip_prefix("file "))
            .map(listed)
            .collect::<Option<Vec<_>>>()?;
        let manifest = Self { meta, upto, files };
        (manifest.print() == text).then_some(manifest)
    }

    /// What it comes to.
    pub(super) fn saved(&self) -> Saved {
        Saved {
            upto: self.upto,
            files: u64::try_from(self.files.len()).unwrap_or(u64::MAX),
            bytes: self.files.iter().map(|file| file.bytes).sum(),
        }
    }
}

fn listed(line: &str) -> Option<Listed> {
    let mut parts = line.splitn(3, ' ');
    let bytes = parts.next()?.parse().ok()?;
    let crc = u32::from_str_radix(parts.next()?, 16).ok()?;
    let name = parts.next()?.to_owned();
    // A name leads into the backup and nowhere else.
    let is_inside =
        !name.starts_with('/') && name.split('/').all(|part| !["", "..", "."].contains(&part));
    is_inside.then_some(Listed { name, bytes, crc })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let listed = |name: &str| Listed {
            name: name.to_owned(),
            bytes: 12,
            crc: 0xabc,
        };
        let mut manifest = Manifest {
            meta: Meta {
                identity: Identity {
                    uuid: 7,
                    incarnation: 3,
                },
                has_checkpoint: true,
            },
            upto: 99,
            files: vec![listed("log/0000000001.seg"), listed("checkpoint.0.redb")],
        };
        let text = manifest.print();
        assert_eq!(Manifest::parse(&text), Some(manifest.clone()));
        assert_eq!(Manifest::parse(&text[..text.len() - 1]), None);
        assert_eq!(Manifest::parse(&text.replace("upto 99", "upto 98")), None);
        assert_eq!(Manifest::parse(""), None);
        for name in ["/etc/passwd", "../meta", "log/../../meta"] {
            manifest.files[0].name = name.to_owned();
            assert_eq!(Manifest::parse(&manifest.print()), None, "{name}");
        }
    }
}
