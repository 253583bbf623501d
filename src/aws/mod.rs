//! The AWS gateway: SigV4, the wire formats once, and each service by operation family.
