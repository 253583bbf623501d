//! Core's words as the labels of metrics.

use crate::core::log::record::SettleKind;
use crate::core::model::overlay::Cause;
use crate::telemetry::DeadLetterCause;
use crate::telemetry::DropReason;

/// Why a drop is counted; none for what a client asked for.
pub(in crate::core) fn drop_reason(kind: SettleKind) -> Option<DropReason> {
    match kind {
        SettleKind::Accepted | SettleKind::Purged => None,
        SettleKind::Rejected => Some(DropReason::Rejected),
        SettleKind::Expired => Some(DropReason::Expired),
        SettleKind::MaxLength => Some(DropReason::MaxLength),
        SettleKind::DeliveryLimit => Some(DropReason::DeliveryLimit),
        SettleKind::ReceiveLimit => Some(DropReason::ReceiveLimit),
        SettleKind::TooLarge => Some(DropReason::TooLarge),
        SettleKind::Retention => Some(DropReason::Retention),
    }
}

/// Why a dead letter is counted.
pub(in crate::core) fn dead_letter_cause(cause: Cause) -> DeadLetterCause {
    match cause {
        Cause::Rejected => DeadLetterCause::Rejected,
        Cause::Expired => DeadLetterCause::Expired,
        Cause::MaxLength => DeadLetterCause::MaxLength,
        Cause::DeliveryLimit => DeadLetterCause::DeliveryLimit,
        Cause::ReceiveLimit => DeadLetterCause::ReceiveLimit,
        Cause::TooLarge => DeadLetterCause::TooLarge,
    }
}
