//! Calendar periods.

use std::str::FromStr;

use serde::Deserialize;

/// A calendar period like `7 days` or `1 month`, or `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period(Option<String>);

impl Period {
    /// None.
    pub const OFF: Self = Self(None);

    pub(crate) fn of(text: &str) -> Self {
        Self(Some(text.into()))
    }

    /// Whether it is so many days at least, with months of 30 days; `off` is for ever.
    #[cfg(feature = "timescale")]
    pub(crate) fn is_at_least_days(&self, days: u32) -> bool {
        let hours = self.0.as_deref().and_then(hours);
        hours.is_none_or(|hours| hours >= f64::from(24 * days))
    }

    /// The interval in PostgreSQL's notation.
    pub fn as_interval(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The number and the unit, in the singular.
    #[cfg(feature = "clickhouse")]
    pub(crate) fn parts(&self) -> Option<(&str, &str)> {
        let (number, unit) = self.0.as_deref()?.split_once(' ')?;
        Some((number, unit.strip_suffix('s').unwrap_or(unit)))
    }
}

/// The hours of a text like `7 days`, from 1 to 9,999 of a unit.
fn hours(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let number: u32 = number.parse().ok().filter(|number| (1..10_000).contains(number))?;
    let hours = match unit.strip_suffix('s').unwrap_or(unit) {
        "minute" => 1.0 / 60.0,
        "hour" => 1.0,
        "day" => 24.0,
        "week" => 7.0 * 24.0,
        "month" => 30.0 * 24.0,
        "year" => 365.0 * 24.0,
        _ => return None,
    };
    Some(f64::from(number) * hours)
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        match hours(text) {
            Some(_) => Ok(Self::of(text)),
            None => Err(format!(
                "{text:?} is not a period like \"12 hours\", \"7 days\", \"1 month\" or \"off\""
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        for text in ["1 day", "90 days", "12 hours", "1 month"] {
            assert_eq!(text.parse::<Period>().unwrap().as_interval(), Some(text));
        }
        assert_eq!("off".parse::<Period>().unwrap(), Period::OFF);
        for text in [
            "",
            "7",
            "0 days",
            "-1 day",
            "1 day'; DROP TABLE ohlcv; --",
            "7 moons",
            "7 dayss",
            "4294967295 years",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
