//! Rules of numbers: things, sizes and times, each with its range.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::rule::Raw;
use super::rule::Rule;
use super::rule::quoted;

/// A number of things, in the type of its field.
pub(super) struct Number<T: 'static> {
    /// Smallest and largest.
    pub range: RangeInclusive<T>,
}

impl<T> Rule for Number<T>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        T::try_from(whole(raw)?)
            .ok()
            .filter(|number| self.range.contains(number))
    }

    fn print(&self, value: &T) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        format!("{} to {}", self.range.start(), self.range.end())
    }
}

fn whole(raw: &Raw) -> Option<i64> {
    match raw {
        Raw::Whole(value) => Some(*value),
        Raw::Untyped(text) => text.replace('_', "").parse().ok(),
        Raw::Bool(_) | Raw::Text(_) | Raw::List(_) | Raw::Other(_) => None,
    }
}

/// A size in bytes: a number, or a text with KiB, MiB or GiB.
pub(super) struct Bytes<T: 'static> {
    /// Smallest and largest.
    pub range: RangeInclusive<T>,
}

/// Units of sizes, the largest first, so that printing takes the shortest form.
const SIZES: [(&str, i64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl<T> Rule for Bytes<T>
where
    T: TryFrom<i64> + PartialOrd + Copy + TryInto<i64> + std::fmt::Display,
{
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        let bytes = whole(raw).or_else(|| with_unit(raw.text()?, &SIZES))?;
        T::try_from(bytes)
            .ok()
            .filter(|number| self.range.contains(number))
    }

    fn print(&self, value: &T) -> String {
        print_with_unit(*value, &SIZES)
    }

    fn allowed(&self) -> String {
        let (least, most) = (self.print(self.range.start()), self.print(self.range.end()));
        format!("{least} to {most} (bytes, or a text with KiB, MiB or GiB)")
    }
}

/// A size that may be left to the broker with `"auto"`.
pub(super) struct AutoBytes(pub Bytes<u64>);

impl Rule for AutoBytes {
    type Value = Option<u64>;

    fn read(&self, raw: &Raw) -> Option<Option<u64>> {
        match raw.text() {
            Some("auto") => Some(None),
            _ => self.0.read(raw).map(Some),
        }
    }

    fn print(&self, value: &Option<u64>) -> String {
        value
            .as_ref()
            .map_or_else(|| quoted("auto"), |bytes| self.0.print(bytes))
    }

    fn allowed(&self) -> String {
        format!("\"auto\", or {}", self.0.allowed())
    }
}

/// A time: a text with ms, s or min.
pub(super) struct Time {
    /// Shortest and longest.
    pub range: RangeInclusive<Duration>,
}

/// Units of times in milliseconds, the largest first.
const TIMES: [(&str, i64); 3] = [("min", 60_000), ("ms", 1), ("s", 1000)];

impl Rule for Time {
    type Value = Duration;

    fn read(&self, raw: &Raw) -> Option<Duration> {
        let ms = with_unit(raw.text()?, &TIMES)?;
        let time = Duration::from_millis(u64::try_from(ms).ok()?);
        Some(time).filter(|time| self.range.contains(time))
    }

    fn print(&self, value: &Duration) -> String {
        match (value.as_secs(), value.subsec_millis()) {
            (seconds, 0) => quoted(&format!("{seconds} s")),
            _ => quoted(&format!("{} ms", value.as_millis())),
        }
    }

    fn allowed(&self) -> String {
        let (least, most) = (self.print(self.range.start()), self.print(self.range.end()));
        format!("{least} to {most} (a text with ms, s or min)")
    }
}

fn with_unit(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    number.trim().parse::<i64>().ok()?.checked_mul(*unit)
}

/// The largest unit that leaves no rest.
fn print_with_unit<T: TryInto<i64> + std::fmt::Display + Copy>(
    value: T,
    units: &[(&str, i64)],
) -> String {
    let number: Option<i64> = value.try_into().ok();
    let fitting = units.iter().find_map(|(name, unit)| {
        let number = number.filter(|number| *number > 0 && number % unit == 0)?;
        Some(quoted(&format!("{} {name}", number / unit)))
    });
    fitting.unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untyped(text: &str) -> Raw {
        Raw::Untyped(text.to_owned())
    }

    #[test]
    fn sizes_are_read_with_and_without_unit() {
        let rule = Bytes::<u64> {
            range: 4096..=1 << 30,
        };
        for text in ["131072", "128KiB", "128 KiB", "131_072"] {
            assert_eq!(rule.read(&untyped(text)), Some(131_072), "{text}");
        }
        assert_eq!(rule.read(&Raw::Whole(131_072)), Some(131_072));
        for text in ["", "12", "2 GiB", "-4 KiB", "128 kB", "99999999999 GiB"] {
            assert_eq!(rule.read(&untyped(text)), None, "{text}");
        }
        assert_eq!(rule.print(&131_072), "\"128 KiB\"");
        assert_eq!(rule.print(&131_073), "131073");
    }

    #[test]
    fn times_need_their_unit() {
        let rule = Time {
            range: Duration::ZERO..=Duration::from_secs(600),
        };
        assert_eq!(rule.read(&untyped("10 s")), Some(Duration::from_secs(10)));
        assert_eq!(
            rule.read(&untyped("250ms")),
            Some(Duration::from_millis(250))
        );
        assert_eq!(rule.read(&untyped("5 min")), Some(Duration::from_secs(300)));
        assert_eq!(rule.read(&untyped("10")), None);
        assert_eq!(rule.read(&untyped("11 min")), None);
        assert_eq!(rule.print(&Duration::from_millis(1500)), "\"1500 ms\"");
    }
}
