//! The metrics as text: OpenMetrics 1.0 for those who ask for it, Prometheus 0.0.4 for the others.

use super::metrics::Metrics;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4: what a plain GET receives.
    Prometheus,
    /// OpenMetrics 1.0.0: what Prometheus asks for by `Accept`.
    OpenMetrics,
}

impl Format {
    /// Chooses the format by the request's `Accept` header.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            Some(_) | None => Self::Prometheus,
        }
    }

    /// Value of the answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metrics {
    /// Prints all metrics.
    pub fn render(&self, format: Format) -> String {
        let mut text = String::new();
        // Writing into a `String` cannot fail; what is printed until then is still worth having.
        let _ = prometheus_client::encoding::text::encode(&mut text, self.registry());
        match format {
            Format::OpenMetrics => text,
            Format::Prometheus => to_prometheus(&text),
        }
    }
}

/// Rewrites OpenMetrics text to the older format.
///
/// Two things differ in what we print: OpenMetrics describes a counter under its name without
/// `_total`, and it ends with `# EOF`.
fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some((name, words)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        {
            // Held back until the type says whether the name needs its `_total`.
            help = Some((name, words));
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, words)) = help.take() {
                text.extend(["# HELP ", name, suffix, " ", words, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if line != "# EOF" {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Conversion;
    use crate::telemetry::HttpRequest;
    use crate::telemetry::METRICS;
    use crate::telemetry::Protocol;

    #[test]
    fn prometheus_text_describes_counters_under_their_printed_name() {
        let metrics = Metrics::new();
        metrics.published.of(Protocol::Sqs).inc_by(7);
        let text = metrics.render(Format::Prometheus);
        assert!(
            text.contains("# TYPE viaduct_messages_published_total counter\n"),
            "{text}"
        );
        assert!(
            text.contains("viaduct_messages_published_total{protocol=\"sqs\"} 7\n"),
            "{text}"
        );
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn open_metrics_ends_with_its_mark() {
        let text = Metrics::new().render(Format::OpenMetrics);
        assert!(text.ends_with("# EOF\n"));
        assert!(text.contains("# TYPE viaduct_messages_published counter\n"));
    }

    #[test]
    fn every_row_of_the_table_is_described() {
        let metrics = Metrics::new();
        // A family shows itself with its first label set.
        metrics
            .http_requests
            .get_or_create(&HttpRequest {
                operation: "SendMessage",
                status: 200,
            })
            .inc();
        let lost = Conversion {
            from: Protocol::Amqp091,
            to: Protocol::Sqs,
            field: "headers",
        };
        metrics.conversion_loss.get_or_create(&lost).inc();
        let text = metrics.render(Format::Prometheus);
        for row in METRICS {
            assert!(
                text.contains(&format!("# HELP {} {}.\n", row.name, row.help)),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn the_format_is_the_one_that_was_asked_for() {
        assert_eq!(Format::accepted(None), Format::Prometheus);
        assert_eq!(Format::accepted(Some("*/*")), Format::Prometheus);
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
    }
}
