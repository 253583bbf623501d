//! Golden frames, properties and the oracle.
