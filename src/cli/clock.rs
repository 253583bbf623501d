//! The time, as the name of a folder.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// The present moment in UTC, like `20260102T030405Z`.
#[expect(
    clippy::disallowed_methods,
    reason = "names a folder after the moment at which a command ran"
)]
pub(super) fn stamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    of(since.map_or(0, |since| since.as_secs()))
}

fn of(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a number of days since 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_date() {
        assert_eq!(of(0), "19700101T000000Z");
        assert_eq!(of(951_827_696), "20000229T123456Z");
        assert_eq!(of(1_767_225_599), "20251231T235959Z");
        assert_eq!(of(1_709_251_200), "20240301T000000Z");
    }
}
