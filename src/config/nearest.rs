//! The nearest known key to a misspelt one.

/// The candidate that needs the fewest edits, if it needs few enough to be meant.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let scored = candidates
        .into_iter()
        .map(|candidate| (score(wrong, candidate), candidate));
    let (edits, candidate) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= (wrong.chars().count() / 3).max(2)).then_some(candidate)
}

/// Edits between the two, or between their last parts if the rest is only missing or elsewhere.
fn score(wrong: &str, candidate: &str) -> usize {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let whole = edits(wrong, candidate);
    // One more, so that a key of the same section wins.
    whole.min(edits(&last(wrong), &last(candidate)) + 1)
}

/// Levenshtein's distance, row by row.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = substituted.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("amqp", "ampq", 2),
        ] {
            assert_eq!(edits(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_typo_finds_its_key() {
        let keys = ["listeners.amqp", "listeners.aws", "log.level", "data_dir"];
        assert_eq!(nearest("listeners.ampq", keys), Some("listeners.amqp"));
        assert_eq!(nearest("listener.aws", keys), Some("listeners.aws"));
        assert_eq!(nearest("loglevel", keys), Some("log.level"));
        assert_eq!(nearest("server.data_dir", keys), Some("data_dir"));
        assert_eq!(nearest("completely.different", keys), None);
    }
}
