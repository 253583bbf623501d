//! What is wrong, as a report has it.

use std::path::Path;

use super::super::segment::LogDir;
use super::super::survey::Damage;
use super::super::survey::Wound;
use super::super::survey::WoundKind;

/// A file that is damaged as a whole.
pub(in super::super) fn file_damage(path: &Path, what: &str, remedy: &str) -> Damage {
    Damage {
        file: path.display().to_string(),
        offset: 0,
        bytes: 0,
        first: 0,
        last: 0,
        queues: None,
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// A wound as a report has it.
pub(in super::super) fn damage(log: &LogDir, wound: &Wound) -> Damage {
    let bad = &wound.bad;
    let last = bad.next.map_or(0, |next| next.saturating_sub(1));
    let has_records = bad.next.is_none_or(|next| next > bad.first);
    let remedy = match wound.kind {
        WoundKind::Header(_) => "the header is written anew from what the frames say",
        WoundKind::Range(_) if has_records => {
            "these records are given up; what stands behind them is kept"
        }
        WoundKind::Range(_) => "nothing is lost: the place is filled",
        WoundKind::End(_) => "these records are given up, and the segment is sealed",
        WoundKind::Whole => "the file is set aside, and its records are given up",
        WoundKind::Order => "the file is set aside, and its records are given up",
    };
    Damage {
        file: log.segment(wound.segment).display().to_string(),
        offset: bad.start,
        bytes: bad.end.saturating_sub(bad.start),
        first: if has_records { bad.first } else { 0 },
        last: if has_records { last } else { 0 },
        queues: None,
        what: bad.what.to_owned(),
        remedy: remedy.to_owned(),
    }
}
