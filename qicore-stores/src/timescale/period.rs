//! Calendar periods.

use std::str::FromStr;

use serde::Deserialize;

/// A calendar period like `7 days` or `1 month`, or `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period(Option<String>);

impl Period {
    /// None.
    pub const OFF: Self = Self(None);

    pub(super) fn of(text: &str) -> Self {
        Self(Some(text.into()))
    }

    /// The interval in PostgreSQL's notation.
    pub fn as_interval(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: &[&str] = &["minute", "hour", "day", "week", "month", "year"];
        if text == "off" {
            return Ok(Self::OFF);
        }
        let parts: Vec<_> = text.split_whitespace().collect();
        let known = matches!(parts[..], [number, unit]
            if number.parse::<u32>().is_ok_and(|number| number > 0) && UNITS.contains(&unit.trim_end_matches('s')));
        match known {
            true => Ok(Self::of(text)),
            false => Err(format!(
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
        for text in ["", "7", "0 days", "-1 day", "1 day'; DROP TABLE ohlcv; --", "7 moons"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
