//! What the files of the main chain hold, whatever became of it.

use crate::core::log::record::Record;
use crate::core::model::ids::Lsn;

use crate::store::format;

use super::super::EmbeddedLog;
use super::super::segment::SegmentId;
use super::super::walk::Found;
use super::super::walk::Walk;

/// Shows every durable record of every segment, in order.
pub(crate) fn show(log: &EmbeddedLog, visit: &mut dyn FnMut(Lsn, Record<'_>)) {
    let (dir, shard) = (&log.shared.dir, log.shared.shard);
    for id in dir.list().expect("listed").segments {
        let file = dir.open(id).expect("opens");
        let Some(mut walk) = Walk::open(file, SegmentId::Main(id), shard.0).expect("reads") else {
            continue;
        };
        loop {
            let (frame, offset) = match walk.next(|_| true).expect("reads") {
                Found::Frame(frame, offset) => (frame, offset),
                Found::Gap(_) => continue,
                Found::End => break,
            };
            let mut body = walk.records(&frame, offset).expect("reads");
            for number in frame.first.. {
                let Some(record) = format::split(&mut body).expect("a good record") else {
                    break;
                };
                let record = format::decode_as(frame.version, record).expect("a good record");
                visit(Lsn::new(shard, number).expect("a number"), record);
            }
        }
    }
}
