//! A report as text.

use crate::store::embedded::Damage;
use crate::store::embedded::Report;

use crate::cli::say::say;

use super::size;

/// Writes a report to standard output.
pub(super) fn show(report: &Report) {
    let records: u64 = report.records.values().sum();
    say(format!(
        "{}: {} files, {}; {} frames, {records} records, the last is number {}",
        report.data_dir,
        report.files,
        size(report.bytes),
        report.frames,
        report.last
    ));
    for (kind, count) in &report.records {
        say(format!("  {kind:<16} {count:>12}"));
    }
    if report.is_running {
        say("a broker runs: what it is writing was left out, and its queues are its own to count");
    } else if !report.queues.is_empty() {
        let messages: u64 = report.queues.iter().map(|queue| queue.messages).sum();
        say(format!(
            "{messages} messages in {} queues",
            report.queues.len()
        ));
        for queue in &report.queues {
            say(format!(
                "  {:>12}  {} {}",
                queue.messages, queue.vhost, queue.name
            ));
        }
    }
    for note in &report.notes {
        say(note);
    }
    for damage in &report.damages {
        show_damage(damage);
    }
    match report.damages.len() {
        0 => say("no damage"),
        1 => say("1 damaged place"),
        more => say(format!("{more} damaged places")),
    }
}

fn show_damage(damage: &Damage) {
    say(format!("damaged: {}: {}", damage.file, damage.what));
    if damage.bytes > 0 {
        let end = damage.offset + damage.bytes;
        say(format!("  bytes {} to {}", damage.offset, end - 1));
    }
    match (damage.first, damage.last) {
        (0, _) => {}
        (first, last) if last < first => say(format!("  records from number {first} on")),
        (first, last) => say(format!("  records {first} to {last}")),
    }
    if damage.first > 0 {
        match &damage.queues {
            Some(queues) if queues.is_empty() => {
                say("  concerns no queue: nothing that lives was there")
            }
            Some(queues) => say(format!("  may concern: {}", queues.join(", "))),
            None => say("  may concern any queue"),
        }
    }
    say(format!("  repair: {}", damage.remedy));
}
