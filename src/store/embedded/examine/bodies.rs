//! The files of large bodies: that every one that a record names is there and whole.

use std::collections::BTreeMap;
use std::io;

use crate::core::log::bodies::BodyId;
use crate::core::log::store::StoreError;

use crate::store::format::BodyFact;

use super::super::bodies;
use super::super::bodies::Flaw;
use super::super::bodies::Inspection;
use super::super::bodies::Seen;
use super::super::meta::io_error;
use super::super::survey::Damage;
use super::Examiner;

/// A publish whose body cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct LostBody {
    /// Its number.
    pub(in super::super) number: u64,
    /// The file of its body.
    pub(in super::super) file: BodyId,
}

impl Examiner<'_> {
    /// The files that there are, and their lengths.
    pub(super) fn body_files(&self) -> Result<BTreeMap<BodyId, u64>, StoreError> {
        let folder = self.dir.join("big");
        let names = match self.disk.names(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            names => names.map_err(|e| io_error("list", &folder, e))?,
        };
        let mut files = BTreeMap::new();
        for body in names.iter().filter_map(|name| bodies::parse_name(name)) {
            let path = folder.join(bodies::file_name(body));
            let len = self.disk.open_read(&path).and_then(|file| file.len());
            files.insert(body, len.map_err(|e| io_error("read", &path, e))?);
        }
        Ok(files)
    }

    /// Reads the files that publishes name, and says which of these have lost their body.
    pub(super) fn bodies(
        &mut self,
        named: &[(u64, BodyFact)],
        files: &BTreeMap<BodyId, u64>,
    ) -> Result<Vec<LostBody>, StoreError> {
        let mut unnamed = files.clone();
        let mut flaws: BTreeMap<BodyId, Option<Flaw>> = BTreeMap::new();
        let mut lost = Vec::new();
        for (number, body) in named {
            let flaw = match flaws.get(&body.file) {
                Some(flaw) => *flaw,
                None => self.inspect(*body)?,
            };
            flaws.insert(body.file, flaw);
            if let Some(len) = unnamed.remove(&body.file) {
                self.report.files += 1;
                self.report.bytes += len;
            }
            if let Some(flaw) = flaw {
                self.lose(*number, body.file, flaw);
                lost.push(LostBody {
                    number: *number,
                    file: body.file,
                });
            }
        }
        self.note_unnamed(&unnamed)?;
        Ok(lost)
    }

    /// Reads a file, and says what is wrong with it.
    fn inspect(&self, body: BodyFact) -> Result<Option<Flaw>, StoreError> {
        let path = self.dir.join("big").join(bodies::file_name(body.file));
        let io = |e| io_error("read", &path, e);
        let begun = Inspection::begin(&*self.disk, &path, body.file, body.bytes);
        let mut inspection = match begun.map_err(io)? {
            Ok(inspection) => inspection,
            Err(flaw) => return Ok(Some(flaw)),
        };
        loop {
            let (bytes, is_through) = match inspection.step().map_err(io)? {
                Seen::Good(bytes) => (bytes, false),
                Seen::Sound(bytes) => (bytes, true),
                Seen::Bad(flaw) => return Ok(Some(flaw)),
            };
            self.progress.done(bytes).map_err(io)?;
            if is_through {
                return Ok(None);
            }
        }
    }

    fn lose(&mut self, number: u64, file: BodyId, flaw: Flaw) {
        let path = self.dir.join("big").join(bodies::file_name(file));
        let remedy = "the message is given up, and the file is set aside";
        self.report.damages.push(Damage {
            file: path.display().to_string(),
            offset: flaw.offset,
            bytes: flaw.bytes,
            first: number,
            last: number,
            queues: Some(self.tally.queues_of(number)),
            what: flaw.what.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// Says that there are files which nobody needs.
    fn note_unnamed(&mut self, files: &BTreeMap<BodyId, u64>) -> Result<(), StoreError> {
        if files.is_empty() {
            return Ok(());
        }
        let folder = self.dir.join("big");
        let bytes: u64 = files.values().sum();
        let what = match self.report.damages.is_empty() {
            true => "a start removes them",
            false => "they stay as long as something is damaged that may name them",
        };
        let note = format!(
            "{}: {} files of {bytes} bytes are of bodies that no record names: {what}",
            folder.display(),
            files.len()
        );
        self.report.notes.push(note);
        let skipped = self.progress.done(bytes);
        skipped.map_err(|e| io_error("read", &folder, e))
    }
}
