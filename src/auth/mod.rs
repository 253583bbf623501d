//! Who may do what: users, credentials, permissions, SASL mechanisms, access keys.
