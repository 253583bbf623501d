//! Class tx (0-9-1 §1.9).

use bytes::BufMut;

use super::MethodFrame;
use super::Sender;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::wire::Reader;

methods! {
    /// The methods of class tx.
    class 90 "tx" TxMethod;

    /// Makes the channel transactional.
    10 "select" Client Select {}
    /// It is.
    11 "select-ok" Server SelectOk {}
    /// Makes everything since the last commit or rollback take effect.
    20 "commit" Client Commit {}
    /// It has.
    21 "commit-ok" Server CommitOk {}
    /// Forgets everything since the last commit or rollback.
    30 "rollback" Client Rollback {}
    /// It is forgotten.
    31 "rollback-ok" Server RollbackOk {}
}
