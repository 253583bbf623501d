//! What the broker tells about itself: one table of metrics, and the log. Imports nothing.

mod label;
mod log;
mod metrics;
mod process;
mod render;

pub use label::AlarmKind;
pub use label::Conversion;
pub use label::DeadLetterCause;
pub use label::DropReason;
pub use label::HttpRequest;
pub use label::Label;
pub use label::PerLabel;
pub use label::Protocol;
pub use log::LogConfig;
pub use log::LogError;
pub use log::LogFormat;
pub use log::LogHandle;
pub use metrics::Kind;
pub use metrics::METRICS;
pub use metrics::MetricRow;
pub use metrics::Metrics;
pub use render::Format;
