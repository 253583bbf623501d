//! Who may do what: users, credentials, permissions, SASL mechanisms, access keys.
//!
//! [`Auth`] is the one directory that every door asks: [`Auth::login`] with a password,
//! [`Auth::access_key`] for a signature, [`Auth::enter`] for a virtual host and [`Auth::permit`] for
//! everything inside it. It keeps its records through [`Records`], which the server implements on
//! the catalog. Refusals are logged by the door that asked, because it knows the peer.

mod cache;
mod changes;
mod directory;
mod error;
mod login;
mod password;
mod permission;
mod records;
pub mod sasl;
mod secret;
mod seed;
mod state;
mod user;

pub use directory::Auth;
pub use error::AuthError;
pub use error::Denied;
pub use error::LoginError;
pub use password::Cost;
pub use password::ScramVerifier;
pub use password::Verifiers;
pub use permission::Action;
pub use permission::DEFAULT_EXCHANGE;
pub use permission::Pattern;
pub use permission::PermissionTexts;
pub use records::MemoryRecords;
pub use records::Records;
pub use records::RecordsError;
pub use sasl::Credentials;
pub use secret::Secret;
pub use seed::AuthConfig;
pub use seed::DeclaredKey;
pub use seed::DeclaredUser;
pub use seed::DefaultUsers;
pub use user::AccessKey;
pub use user::Identity;
pub use user::Tag;
pub use user::UserName;
pub use user::UserView;
