//! The files of large bodies that records name.

use std::io;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::core::log::read::ReadError;
use crate::store::embedded::bodies;
use crate::store::embedded::bodies::Flaw;
use crate::store::embedded::bodies::Inspection;
use crate::store::embedded::bodies::Seen;
use crate::store::embedded::read::Frames;
use crate::store::embedded::survey::Damage;
use crate::store::format;
use crate::store::format::BodyFact;
use crate::store::format::Fact;

use super::Shared;
use super::finding::Finding;
use super::round::Round;

/// A file that is being read.
pub(super) struct Reading {
    number: u64,
    body: BodyFact,
    inspection: Inspection,
}

impl Round {
    /// Begins to read the file that a publish names.
    pub(super) fn open_body(
        &mut self,
        shared: &Arc<Shared>,
        number: u64,
        body: BodyFact,
    ) -> io::Result<u64> {
        match begin(shared, body)? {
            Ok(inspection) => {
                self.body = Some(Reading {
                    number,
                    body,
                    inspection,
                });
            }
            Err(flaw) => self.doubt(shared, number, body, flaw)?,
        }
        Ok(0)
    }

    /// Reads on.
    pub(super) fn read_body(
        &mut self,
        shared: &Arc<Shared>,
        mut reading: Reading,
    ) -> io::Result<u64> {
        match reading.inspection.step()? {
            Seen::Good(bytes) => {
                self.body = Some(reading);
                Ok(bytes)
            }
            Seen::Sound(bytes) => {
                self.report.files += 1;
                self.report.bytes += reading.body.bytes;
                Ok(bytes)
            }
            Seen::Bad(flaw) => {
                self.doubt(shared, reading.number, reading.body, flaw)?;
                Ok(0)
            }
        }
    }

    /// Notes a flaw, if it is there when it is looked for once more, and somebody needs the file.
    fn doubt(
        &mut self,
        shared: &Arc<Shared>,
        number: u64,
        body: BodyFact,
        flaw: Flaw,
    ) -> io::Result<()> {
        let again = match begin(shared, body)? {
            Ok(inspection) => inspection.finish()?,
            Err(flaw) => Some(flaw),
        };
        let is_needed = || {
            let log = shared.log.lock();
            log.journal.is_file_named_by(number, body.file)
        };
        if again != Some(flaw) || !is_needed() {
            return Ok(());
        }
        let path = shared.files.folder().join(bodies::file_name(body.file));
        let damage = Damage {
            file: path.display().to_string(),
            offset: flaw.offset,
            bytes: flaw.bytes,
            first: number,
            last: number,
            queues: None,
            what: flaw.what.to_owned(),
            remedy: "the message is given up, and the file is set aside".to_owned(),
        };
        let queues = queues_of(shared, number);
        self.findings
            .push(Finding::concerning(shared, damage, queues));
        Ok(())
    }
}

fn begin(shared: &Shared, body: BodyFact) -> io::Result<Result<Inspection, Flaw>> {
    let path = shared.files.folder().join(bodies::file_name(body.file));
    Inspection::begin(&*shared.dir.disk, &path, body.file, body.bytes)
}

/// The queues that a message is in; none if it was moved since, or its record cannot be read: then any.
fn queues_of(shared: &Arc<Shared>, number: u64) -> Option<RoaringTreemap> {
    let mut frames = Frames::new(Arc::clone(shared));
    let (version, record) = match frames.record(&[number]) {
        Err(ReadError::NotThere) => return Some(RoaringTreemap::new()),
        read => read.ok()?,
    };
    let Ok(Fact::Publish(_, entries)) = format::fact_of(version, &record) else {
        return None;
    };
    let mut queues = RoaringTreemap::new();
    for entry in entries {
        queues.insert(entry.ok()?.queue.0);
    }
    shared.log.lock().journal.queues_left(number, &queues)
}
