//! From a receipt handle to a lease.

use super::context::Context;
use super::context::Found;
use super::errors;
use super::receipt::Receipt;
use crate::aws::wire::AwsError;
use crate::core::model::ids::Lsn;
use crate::core::queue::settle::LeaseRef;

/// The lease that a handle names; `None` when its entry went with a restart.
///
/// # Errors
/// `ReceiptHandleIsInvalid` for a handle that this queue never gave out.
pub(super) fn lease_of(
    context: Context<'_>,
    found: &Found,
    handle: &str,
) -> Result<Option<LeaseRef>, AwsError> {
    let receipt = Receipt::decode(handle).ok_or_else(|| errors::invalid_handle(handle))?;
    if receipt.queue != found.queue.id().0 {
        return Err(errors::invalid_handle(handle));
    }
    let core = context.core();
    let seq = if receipt.incarnation == core.identity().incarnation {
        Some(receipt.sequence)
    } else {
        // Sequences are of one start only; the log's number is for ever.
        Lsn::from_raw(receipt.lsn).and_then(|lsn| core.restored(&found.queue, lsn))
    };
    Ok(seq.map(|seq| LeaseRef {
        seq,
        attempt: receipt.attempt,
    }))
}
