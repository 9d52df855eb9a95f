//! Times as text.

use chrono::{DateTime, SecondsFormat};

/// RFC 3339 in UTC with microseconds: `2024-04-24T09:56:38.063595Z`.
pub(crate) fn micros(nanoseconds: i64) -> String {
    DateTime::from_timestamp_nanos(nanoseconds).to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The same with nanoseconds.
pub(crate) fn nanos(nanoseconds: i64) -> String {
    DateTime::from_timestamp_nanos(nanoseconds).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// Nanoseconds of UNIX seconds (with or without decimals) or RFC 3339.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000_000);
    }
    DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()
}
