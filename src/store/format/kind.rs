//! Numbers of all formats. A number is never given to something else.

use crate::core::log::record::SettleKind;

pub(super) const PUBLISH: u8 = 1;
pub(super) const CHUNK: u8 = 2;
pub(super) const GRANT: u8 = 3;
pub(super) const SETTLE: u8 = 4;
pub(super) const PURGE_RANGE: u8 = 5;
pub(super) const COUNTERS: u8 = 6;
pub(super) const MOVE: u8 = 7;
pub(super) const SCHEDULE: u8 = 8;
pub(super) const RETAINED: u8 = 9;
pub(super) const MARK: u8 = 10;
pub(super) const PREPARED: u8 = 11;
pub(super) const DECISION: u8 = 12;
pub(super) const FORGET: u8 = 13;
pub(super) const CATALOG: u8 = 14;
pub(super) const CURSOR: u8 = 15;
pub(super) const PARTITION_APPEND: u8 = 16;
pub(super) const RESERVATION: u8 = 17;
pub(super) const EPOCH: u8 = 18;
pub(super) const COPY: u8 = 19;
pub(super) const TOMBSTONE: u8 = 20;

/// Which optional fields a message has, and where its body is.
pub(super) mod message {
    pub(crate) const EXPIRATION: u8 = 1;
    pub(crate) const DELAY: u8 = 2;
    pub(crate) const GROUP: u8 = 4;
    pub(crate) const GROUP_SEQUENCE: u8 = 8;
    pub(crate) const DEDUP_KEY: u8 = 16;
    pub(crate) const BODY_CHUNKS: u8 = 32;
    /// A file without an id: nothing ever wrote it.
    pub(crate) const BODY_FILE_UNNAMED: u8 = 64;
    pub(crate) const BODY_FILE: u8 = 128;
    /// Where the body is, unless it is in the record.
    pub(crate) const BODY: u8 = BODY_CHUNKS | BODY_FILE_UNNAMED | BODY_FILE;
    pub(crate) const ALL: u8 = 255;
}

/// Which optional fields an entry has.
pub(super) mod entry {
    pub(crate) const EXPIRY: u8 = 1;
    pub(crate) const NOT_BEFORE: u8 = 2;
    pub(crate) const PRIORITY: u8 = 4;
    pub(crate) const MORE: u8 = 8;
    pub(crate) const FIRST_DELIVERY: u8 = 16;
    pub(crate) const RETENTION: u8 = 32;
    pub(crate) const ALL: u8 = 63;
    /// Those of format 1.
    pub(crate) const ALL_1: u8 = 31;
}

/// Who holds a lease.
pub(super) mod holder {
    pub(crate) const NOBODY: u8 = 0;
    pub(crate) const SESSION: u8 = 1;
    pub(crate) const BRANCH: u8 = 2;
}

/// The number of a settle kind.
pub(super) fn settle_number(kind: SettleKind) -> u8 {
    match kind {
        SettleKind::Accepted => 0,
        SettleKind::Rejected => 1,
        SettleKind::Expired => 2,
        SettleKind::MaxLength => 3,
        SettleKind::DeliveryLimit => 4,
        SettleKind::ReceiveLimit => 5,
        SettleKind::Purged => 6,
        SettleKind::TooLarge => 7,
        SettleKind::Retention => 8,
    }
}

/// The settle kind of a number, none if there is no such number.
pub(super) fn settle_kind(number: u8) -> Option<SettleKind> {
    Some(match number {
        0 => SettleKind::Accepted,
        1 => SettleKind::Rejected,
        2 => SettleKind::Expired,
        3 => SettleKind::MaxLength,
        4 => SettleKind::DeliveryLimit,
        5 => SettleKind::ReceiveLimit,
        6 => SettleKind::Purged,
        7 => SettleKind::TooLarge,
        8 => SettleKind::Retention,
        _ => return None,
    })
}
