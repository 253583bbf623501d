//! The rules of a batch: number, ids and size of its entries.

use super::errors;
use super::message::MAX_BYTES;
use crate::aws::wire::AwsError;

/// Entries of a batch.
pub const MAX_ENTRIES: usize = 10;
const MAX_ENTRY_ID: usize = 80;

/// Checks number and ids of a batch's entries.
///
/// # Errors
/// `EmptyBatchRequest`, `TooManyEntriesInBatchRequest`, `InvalidBatchEntryId`, `BatchEntryIdsNotDistinct`.
pub fn check(entry_name: &str, ids: &[&str]) -> Result<(), AwsError> {
    if ids.is_empty() {
        let text = format!("There should be at least one {entry_name} in the request.");
        return Err(AwsError::new(&errors::EMPTY_BATCH_REQUEST, text));
    }
    if ids.len() > MAX_ENTRIES {
        let text = format!(
            "Maximum number of entries per request are {MAX_ENTRIES}. You have sent {}.",
            ids.len()
        );
        return Err(AwsError::new(&errors::TOO_MANY_ENTRIES, text));
    }
    for (index, id) in ids.iter().enumerate() {
        let characters = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if id.is_empty() || id.len() > MAX_ENTRY_ID || !characters {
            let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can \
                        be at most 80 letters long.";
            return Err(AwsError::new(&errors::INVALID_BATCH_ENTRY_ID, text));
        }
        if ids.iter().take(index).any(|other| other == id) {
            return Err(AwsError::new(
                &errors::BATCH_IDS_NOT_DISTINCT,
                format!("Id {id} repeated."),
            ));
        }
    }
    Ok(())
}

/// Checks the sum of a batch's messages.
///
/// # Errors
/// `BatchRequestTooLong`.
pub fn check_size(size: usize) -> Result<(), AwsError> {
    if size <= MAX_BYTES {
        return Ok(());
    }
    let text = format!(
        "Batch requests cannot be longer than {MAX_BYTES} bytes. You have sent {size} bytes."
    );
    Err(AwsError::new(&errors::BATCH_REQUEST_TOO_LONG, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_ids_of_entries() {
        let kind =
            |ids: &[&str]| check("SendMessageBatchRequestEntry", ids).map_err(|error| error.kind);
        assert_eq!(kind(&["a", "b"]), Ok(()));
        assert_eq!(kind(&[]), Err(&errors::EMPTY_BATCH_REQUEST));
        assert_eq!(kind(&["x"; 11]), Err(&errors::TOO_MANY_ENTRIES));
        assert_eq!(kind(&["a", "a"]), Err(&errors::BATCH_IDS_NOT_DISTINCT));
        for id in ["", "a b", "a.b", &"x".repeat(81)] {
            assert_eq!(kind(&[id]), Err(&errors::INVALID_BATCH_ENTRY_ID));
        }
    }

    #[test]
    fn the_sum_of_sizes_is_limited_and_the_limit_inclusive() {
        assert!(check_size(MAX_BYTES).is_ok());
        assert_eq!(
            check_size(MAX_BYTES + 1).unwrap_err().kind,
            &errors::BATCH_REQUEST_TOO_LONG
        );
    }
}
