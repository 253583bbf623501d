//! SQS: queues by HTTP, in AWS' words.
//!
//! Pure parts first (addresses, receipts, digests, rules), then the operations by family.

pub mod address;

pub mod attributes;

pub mod digest;

pub mod errors;

pub mod message;

pub mod model;

pub mod receipt;

pub mod types;

use serde_json::Value;

use crate::aws::gateway::Caller;
use crate::aws::gateway::Gateway;
use crate::aws::wire::AwsError;

/// Runs one operation.
///
/// # Errors
/// What AWS answers.
pub async fn call(
    gateway: &Gateway,
    caller: &Caller,
    operation: &str,
    input: Value,
) -> Result<Value, AwsError> {
    let _ = (gateway, caller, input);
    Err(errors::unsupported(format!(
        "{operation} is not supported."
    )))
}
