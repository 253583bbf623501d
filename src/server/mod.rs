//! Composes the layers into a running broker.
