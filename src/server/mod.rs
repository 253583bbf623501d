//! Composes the layers into a running broker.
//!
//! [`Broker::start`] is the library's entry: it opens the data dir, replays the log, and returns
//! when every door listens. [`run`] is what the command line does with it: the log, the banner,
//! signals.

mod banner;
mod broker;
mod catalog;
mod data_dir;
mod diary;
mod doors;
mod error;
mod foundation;
mod listening;
mod memory;
mod metrics;
mod operator;
mod reload;
mod run;
mod stopped;
mod watch;
mod work;

pub use broker::Broker;
pub use broker::Goodbye;
pub use data_dir::require as require_data_dir;
pub use error::StartError;
pub use error::StopError;
pub use listening::Listening;
pub use run::RunError;
pub use run::run;
pub use stopped::MissingDataDir;
pub use stopped::Stopped;
