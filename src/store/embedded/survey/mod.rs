//! Looks at a data dir without changing it: what `viaduct check` reports, what `viaduct repair` goes by, and what the
//! background scrub reads again and again.

mod chain;
mod looking;
mod overlay;
mod progress;
mod report;
mod tally;
mod walk;

pub(crate) use chain::Segment;
pub(crate) use chain::Wound;
pub(crate) use chain::WoundKind;
pub(crate) use chain::judge;
pub(crate) use chain::judge_sealed;
pub(crate) use chain::of_frame;
pub(crate) use chain::read as read_chain;
pub(crate) use chain::read_one;
pub(crate) use looking::Looking;
pub use progress::Progress;
pub use report::Damage;
pub use report::QueueCount;
pub use report::Report;
pub(crate) use tally::Tally;
pub(crate) use tally::kind_name;
pub(crate) use walk::Bad;
pub(crate) use walk::Frame;
pub(crate) use walk::Walk;
pub(crate) use walk::block;
