//! Looks at a data dir without changing it: what `viaduct check` reports, what `viaduct repair` goes by, and what the
//! background scrub reads again and again.

mod chain;
mod cold;
mod judge;
mod looking;
mod overlay;
mod progress;
mod report;
mod tally;

pub(crate) use chain::Found;
pub(crate) use chain::Frame;
pub(crate) use chain::Segment;
pub(crate) use chain::read as read_chain;
pub(crate) use chain::read_one;
pub(crate) use cold::ColdSegment;
pub(crate) use cold::read_cold;
pub(crate) use judge::Wound;
pub(crate) use judge::WoundKind;
pub(crate) use judge::judge;
pub(crate) use judge::judge_sealed;
pub(crate) use judge::of_frame;
pub(crate) use looking::Looking;
pub use progress::Progress;
pub use report::Damage;
pub use report::QueueCount;
pub use report::Report;
pub(crate) use tally::Tally;
pub(crate) use tally::kind_name;
