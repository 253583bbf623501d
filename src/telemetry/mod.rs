//! What the broker tells about itself: one table of metrics, and the log. Imports nothing.
