//! The configuration file: TOML, flattened into entries that know their line and column.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use super::error::Problem;
use super::rule::Raw;
use super::source::Entry;
use super::source::Origin;

/// Reads the text of a file into entries, in the order of its lines.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Entry>, Problem> {
    let table = DeTable::parse(text).map_err(|error| Problem::Syntax {
        origin: origin(path, text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut found = Vec::new();
    let mut place = Vec::new();
    flatten(table.get_ref(), &mut place, &mut |segments, offset, raw| {
        found.push((offset, segments.to_vec(), raw));
    });
    found.sort_by_key(|(offset, ..)| *offset);
    let entries = found.into_iter().map(|(offset, segments, raw)| Entry {
        path: segments,
        raw,
        origin: origin(path, text, offset),
    });
    Ok(entries.collect())
}

/// Calls `found` for every value that is no table, and for every table without any.
///
/// Depth is bounded by the parser, which refuses what is nested too deeply.
fn flatten(
    table: &DeTable<'_>,
    place: &mut Vec<String>,
    found: &mut impl FnMut(&[String], usize, Raw),
) {
    for (key, value) in table {
        place.push(key.get_ref().to_string());
        match value.get_ref().as_table().filter(|inner| !inner.is_empty()) {
            Some(inner) => flatten(inner, place, found),
            None => found(place, key.span().start, raw(value)),
        }
        place.pop();
    }
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map_or(Raw::Other("integer beyond 64 bits"), Raw::Whole)
        }
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Array(items) => Raw::List(items.iter().map(raw).collect()),
        DeValue::Float(_) => Raw::Other("float"),
        DeValue::Datetime(_) => Raw::Other("date"),
        DeValue::Table(_) => Raw::Other("table"),
    }
}

fn origin(path: &Path, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Origin::File {
        path: path.to_owned(),
        line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column: before
            .get(line_start..)
            .map_or(0, |line| line.chars().count())
            + 1,
    }
}
