//! The one table of metrics.
//!
//! A row declares a metric once: its field in [`Metrics`], its type, its printed name and its help
//! text. Everybody counts on the same `Arc<Metrics>`, once per batch rather than once per message.
//! Names are `viaduct_<noun>_<unit>[_total]`; the four `process_*` names are those that every
//! Prometheus client library uses, so that stock dashboards find them.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::label::AlarmKind;
use super::label::Conversion;
use super::label::DeadLetterCause;
use super::label::DropReason;
use super::label::HttpRequest;
use super::label::PerLabel;
use super::label::Protocol;
use super::process::ProcessCollector;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

/// A row of the table, for tests and documentation.
#[derive(Clone, Copy, Debug)]
pub struct MetricRow {
    /// Printed name.
    pub name: &'static str,
    /// Help text.
    pub help: &'static str,
    /// Kind of number.
    pub kind: Kind,
}

/// The kind that a field's type stands for.
trait HasKind {
    const KIND: Kind;
}

impl HasKind for Counter {
    const KIND: Kind = Kind::Counter;
}

impl HasKind for Gauge {
    const KIND: Kind = Kind::Gauge;
}

impl HasKind for Seconds {
    const KIND: Kind = Kind::Gauge;
}

impl HasKind for SyncSeconds {
    const KIND: Kind = Kind::Histogram;
}

impl<L, M: HasKind> HasKind for PerLabel<L, M> {
    const KIND: Kind = M::KIND;
}

impl<S, M: HasKind> HasKind for Family<S, M> {
    const KIND: Kind = M::KIND;
}

/// A gauge with a fraction, for instants and durations.
type Seconds = Gauge<f64, AtomicU64>;

/// How long a disk takes to make a frame durable.
///
/// Buckets double from 50 µs (a good NVMe drive answers in 100 µs) to 3.3 s (a disk in trouble).
#[derive(Clone, Debug)]
pub struct SyncSeconds(Histogram);

impl Default for SyncSeconds {
    fn default() -> Self {
        Self(Histogram::new(
            prometheus_client::metrics::histogram::exponential_buckets(50e-6, 2.0, 17),
        ))
    }
}

impl std::ops::Deref for SyncSeconds {
    type Target = Histogram;

    fn deref(&self) -> &Histogram {
        &self.0
    }
}

impl prometheus_client::encoding::EncodeMetric for SyncSeconds {
    fn encode(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        self.0.metric_type()
    }
}

macro_rules! metrics {
    ($($field:ident: $type:ty = $name:literal, $help:literal;)+) => {
        /// Every number that the broker counts; see the module's table.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = concat!("`", $name, "`: ", $help, ".")] pub $field: $type,)+
        }

        /// The table as rows, in printing order.
        pub const METRICS: &[MetricRow] = &[
            $(MetricRow { name: $name, help: $help, kind: <$type as HasKind>::KIND },)+
        ];

        impl Metrics {
            /// Makes the table with every number at zero.
            pub fn new() -> Self {
                let mut registry = Registry::default();
                $(
                    let $field = <$type>::default();
                    // The encoder appends `_total` to every counter itself.
                    let name = $name.strip_suffix("_total").unwrap_or($name);
                    registry.register(name, $help, $field.clone());
                )+
                registry.register_collector(Box::new(ProcessCollector));
                let metrics = Self { registry, $($field,)+ };
                metrics.build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
                metrics
            }
        }
    };
}

metrics! {
    // Who is there.
    connections: PerLabel<Protocol, Gauge> = "viaduct_connections", "Open client connections";
    connections_opened: PerLabel<Protocol, Counter> = "viaduct_connections_opened_total", "Client connections accepted since the start";
    connections_refused: Counter = "viaduct_connections_refused_total", "Connections closed at once because a connection limit was reached";
    logins_failed: PerLabel<Protocol, Counter> = "viaduct_logins_failed_total", "Logins refused for wrong or missing credentials, or from a place where the user may not log in";
    permissions_denied: PerLabel<Protocol, Counter> = "viaduct_permissions_denied_total", "Operations refused because the user lacks a permission";
    channels: Gauge = "viaduct_channels", "Open AMQP channels";
    consumers: PerLabel<Protocol, Gauge> = "viaduct_consumers", "Consumers, waiting SQS polls included";
    queues: Gauge = "viaduct_queues", "Queues of all virtual hosts";
    exchanges: Gauge = "viaduct_exchanges", "Exchanges of all virtual hosts";
    bindings: Gauge = "viaduct_bindings", "Bindings of all virtual hosts";

    // What happens to messages.
    messages_ready: Gauge = "viaduct_messages_ready", "Entries that wait in queues for a consumer";
    messages_leased: Gauge = "viaduct_messages_leased", "Entries that consumers hold unsettled";
    messages_delayed: Gauge = "viaduct_messages_delayed", "Entries that nobody may take yet";
    published: PerLabel<Protocol, Counter> = "viaduct_messages_published_total", "Messages that publishers sent";
    published_bytes: PerLabel<Protocol, Counter> = "viaduct_published_bytes_total", "Bytes of the bodies that publishers sent";
    confirmed: PerLabel<Protocol, Counter> = "viaduct_messages_confirmed_total", "Publishes answered positively, after the sync that covers them";
    refused: PerLabel<Protocol, Counter> = "viaduct_messages_refused_total", "Publishes answered negatively, by a full queue or an alarm";
    routed: Counter = "viaduct_messages_routed_total", "Entries that publishes put into queues: one message may make several";
    unroutable: Counter = "viaduct_messages_unroutable_total", "Messages without a queue that were dropped because nobody asked for them back";
    returned: PerLabel<Protocol, Counter> = "viaduct_messages_returned_total", "Unroutable messages sent back to their publisher";
    delivered: PerLabel<Protocol, Counter> = "viaduct_messages_delivered_total", "Deliveries to consumers, redeliveries included";
    delivered_bytes: PerLabel<Protocol, Counter> = "viaduct_delivered_bytes_total", "Bytes of the bodies delivered to consumers";
    redelivered: PerLabel<Protocol, Counter> = "viaduct_messages_redelivered_total", "Deliveries of an entry that somebody had received before";
    acknowledged: PerLabel<Protocol, Counter> = "viaduct_messages_acknowledged_total", "Entries that consumers accepted, by ack or DeleteMessage";
    released: PerLabel<Protocol, Counter> = "viaduct_messages_released_total", "Entries that went back to their queue unaccepted";
    expired: Counter = "viaduct_messages_expired_total", "Entries whose time to live ended, dead-lettered or dropped";
    dropped: PerLabel<DropReason, Counter> = "viaduct_messages_dropped_total", "Entries removed without a delivery and without a dead letter";
    dead_lettered: PerLabel<DeadLetterCause, Counter> = "viaduct_messages_dead_lettered_total", "Entries moved to a dead-letter address";
    conversion_loss: Family<Conversion, Counter> = "viaduct_conversion_loss_total", "Message fields that one door sent and another door cannot show";

    // The log.
    log_bytes: Counter = "viaduct_log_bytes_total", "Bytes appended to the log, padding included";
    log_record_bytes: Counter = "viaduct_log_record_bytes_total", "Bytes of records appended to the log, padding excluded";
    log_records: Counter = "viaduct_log_records_total", "Records appended to the log";
    log_frames: Counter = "viaduct_log_frames_total", "Frames written to the log, one sync each: log records by frames is the size of a group commit";
    log_syncs: Counter = "viaduct_log_syncs_total", "Completed syncs of the log's frames; a new segment costs three more that are not in here: of the seal before it, its header and its directory";
    log_sync_seconds: SyncSeconds = "viaduct_log_sync_seconds", "Time that one write and sync of the log takes";
    log_segments: Gauge = "viaduct_log_segments", "Segment files of the log, recycled ones included";
    log_live_bytes: Gauge = "viaduct_log_live_bytes", "Bytes of the log's records that something refers to, padding excluded; measured where the log is copied forward, estimated elsewhere";
    log_dead_bytes: Gauge = "viaduct_log_dead_bytes", "Bytes of the log's records that nothing refers to any more, padding excluded";
    log_reclaimed_bytes: Counter = "viaduct_log_reclaimed_bytes_total", "Bytes of segment files that nothing was needed of any more";
    log_copied_bytes: Counter = "viaduct_log_copied_bytes_total", "Bytes written to copy live records out of segments that hold little else";
    log_disk_bytes: Gauge = "viaduct_log_disk_bytes", "Disk space that the log's files take";
    body_files: Gauge = "viaduct_body_files", "Large bodies that have a file of their own";
    body_file_bytes: Gauge = "viaduct_body_file_bytes", "Disk space that the files of large bodies take";
    damaged: Counter = "viaduct_messages_damaged_total", "Reads of a queued message that found it damaged: its queue is quarantined";
    log_holes: Counter = "viaduct_log_holes_total", "Damaged or missing parts of the log that may concern queues, found by this start or since: anything above 0 is for an operator to look at";
    queues_quarantined: Gauge = "viaduct_queues_quarantined", "Queues that nothing is taken from or put into because damage of the log may concern them, until viaduct repair has run";
    withheld: Counter = "viaduct_messages_withheld_total", "Entries that publishes did not make because a queue is quarantined";

    // Depth.
    page_reads: Counter = "viaduct_page_reads_total", "Reads of what queues had put aside: page read messages by page reads is the batch of a read";
    page_read_messages: Counter = "viaduct_page_read_messages_total", "Messages read back from the log for their queues";
    scrub_bytes: Counter = "viaduct_scrub_bytes_total", "Bytes that the scrub has read again to see whether they are still what was written";
    scrub_damages: Counter = "viaduct_scrub_damages_total", "Damaged places that the scrub, or a check of the running broker, has found since the start: anything above 0 is for an operator to look at";

    // Room.
    memory_used_bytes: Gauge = "viaduct_memory_used_bytes", "Memory that messages, indexes and buffers take of the budget";
    memory_limit_bytes: Gauge = "viaduct_memory_limit_bytes", "Memory budget: beyond it publishers wait";
    disk_free_bytes: Gauge = "viaduct_disk_free_bytes", "Free space of the file system that holds the data dir";
    disk_floor_bytes: Gauge = "viaduct_disk_floor_bytes", "Free disk space below which publishers wait";
    alarms: PerLabel<AlarmKind, Gauge> = "viaduct_alarms", "1 while the alarm makes publishers wait, else 0";
    alarms_raised: PerLabel<AlarmKind, Counter> = "viaduct_alarms_raised_total", "How often the alarm was raised";

    // Structure: messages by read, push, take, write, wake and frame show a broken batch where noise hides times. Each
    // help text of a divisor names its dividend; tests/hotpath holds the ratios under load.
    reads: Counter = "viaduct_reads_total", "Socket reads that returned bytes: read messages by reads is the batch of a read";
    read_bytes: Counter = "viaduct_read_bytes_total", "Bytes read from client sockets";
    read_messages: Counter = "viaduct_read_messages_total", "Publishes decoded from socket reads";
    writes: Counter = "viaduct_writes_total", "Socket writes: write messages by writes is the batch of a write";
    write_bytes: Counter = "viaduct_write_bytes_total", "Bytes written to client sockets";
    write_messages: Counter = "viaduct_write_messages_total", "Deliveries encoded into socket writes";
    pushes: Counter = "viaduct_pushes_total", "Batches pushed into queues, each under one lock: push messages by pushes is the batch of a lock";
    push_messages: Counter = "viaduct_push_messages_total", "Entries in those pushes";
    takes: Counter = "viaduct_takes_total", "Batches taken from queues, empty ones excluded: take messages by takes is the batch of a take";
    take_messages: Counter = "viaduct_take_messages_total", "Entries in those takes";
    settles: Counter = "viaduct_settles_total", "Batches of settlements, each under one lock: settle messages by settles is their size";
    settle_messages: Counter = "viaduct_settle_messages_total", "Entries in those settlements";
    wakes: Counter = "viaduct_wakes_total", "Sleeping consumers woken: take messages by wakes is what one wake leads to";

    // Requests.
    http_requests: Family<HttpRequest, Counter> = "viaduct_http_requests_total", "HTTP requests answered, by operation and status";

    // The process.
    build: Family<Vec<(&'static str, &'static str)>, Gauge> = "viaduct_build_info", "Always 1; the labels tell the version";
    start_time_seconds: Seconds = "process_start_time_seconds", "When the process started, in seconds since 1970";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// The registry behind the table, for the encoder.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Why a name breaks `viaduct_<noun>_<unit>[_total]`, if it does.
    fn fault(row: &MetricRow) -> Option<&'static str> {
        let base = row.name.strip_suffix("_total").unwrap_or(row.name);
        let words: Vec<_> = base.split('_').collect();
        let well_formed = |word: &&str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        match row.kind {
            _ if !words.iter().all(well_formed) => {
                Some("words of a-z and 0-9, joined by one underscore")
            }
            _ if words.len() < 2 || !["viaduct", "process"].contains(&words[0]) => {
                Some("starts with viaduct_")
            }
            Kind::Counter if base == row.name => Some("a counter ends in _total"),
            Kind::Gauge | Kind::Histogram if base != row.name => {
                Some("only a counter ends in _total")
            }
            Kind::Histogram if !["seconds", "bytes"].contains(&words[words.len() - 1]) => {
                Some("a histogram ends in its unit")
            }
            _ if words.iter().any(|w| {
                [
                    "ms",
                    "us",
                    "millis",
                    "milliseconds",
                    "kb",
                    "mb",
                    "count",
                    "sum",
                    "bucket",
                ]
                .contains(w)
            }) =>
            {
                Some("base units only, and no word that the text format uses itself")
            }
            Kind::Counter | Kind::Gauge | Kind::Histogram => None,
        }
    }

    #[test]
    fn metric_names_follow_the_rule() {
        let mut seen = HashSet::new();
        for row in METRICS {
            assert_eq!(fault(row), None, "{}", row.name);
            assert!(seen.insert(row.name), "{} is declared twice", row.name);
            assert!(
                !row.help.ends_with('.'),
                "{}: the encoder adds the full stop",
                row.name
            );
        }
    }
}
