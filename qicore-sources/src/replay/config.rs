//! What is replayed, and how.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use qicore_data::{Error, Result, Timestamp};
use serde::{Deserialize, Deserializer, de};

use super::dataset::Format;

/// How fast data is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Pace {
    /// As fast as the pipeline takes it (`"full"`).
    #[default]
    Full,
    /// So many times as fast as it was recorded: `1.0` as recorded, `10` ten times as fast. Pauses that would last for more than
    /// an hour are passed over.
    Times(f64),
}

impl Pace {
    /// The time that a stretch of recorded time takes.
    pub(super) fn scaled(factor: f64, recorded: Duration) -> Duration {
        Duration::try_from_secs_f64(recorded.as_secs_f64() / factor).unwrap_or(Duration::MAX)
    }

    /// Whether the factor is one.
    pub(super) fn check(self) -> std::result::Result<(), &'static str> {
        match self {
            Self::Times(factor) if !(factor.is_finite() && factor > 0.0) => {
                Err("pace must be \"full\" or a number above 0: 1.0 as recorded, 10 ten times as fast")
            }
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Pace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Pace;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"full\" or a number above 0")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pace, E> {
                match text {
                    "full" => Ok(Pace::Full),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_f64<E: de::Error>(self, factor: f64) -> Result<Pace, E> {
                let pace = Pace::Times(factor);
                pace.check().map_err(E::custom).map(|()| pace)
            }

            fn visit_i64<E: de::Error>(self, factor: i64) -> Result<Pace, E> {
                self.visit_f64(factor as f64)
            }

            fn visit_u64<E: de::Error>(self, factor: u64) -> Result<Pace, E> {
                self.visit_f64(factor as f64)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The configuration of [`Replay`](super::Replay).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReplayConfig {
    /// Recordings, files of stored events, or folders of either.
    pub paths: Vec<PathBuf>,
    /// How fast.
    pub pace: Pace,
    /// A longer line of a recording or JSON-lines file is rejected, with its first 4 KiB kept.
    pub max_record_bytes: usize,
    /// The venue of the recordings, where their headers do not tell (`binance`).
    pub venue: Option<String>,
    /// The exchange that events of the recordings get, where it is not the header's.
    pub exchange: Option<String>,
    /// Of folders: only stored events of this format. Needed where several sinks write to one folder.
    pub format: Option<Format>,
    /// Of stored data sets: only events at or after this.
    pub from: Option<Timestamp>,
    /// Of stored data sets: only events before this.
    pub to: Option<Timestamp>,
    /// Of stored data sets: how many events per exchange are held to bring them into order. Rows further than that
    /// from their place come late.
    pub sort_window: usize,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            pace: Pace::Full,
            max_record_bytes: 64 << 20,
            venue: None,
            exchange: None,
            format: None,
            from: None,
            to: None,
            sort_window: 100_000,
        }
    }
}

impl ReplayConfig {
    /// A configuration for `paths`, with the defaults.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Whether it can be carried out, as far as can be told without looking at the files.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::config("replay", message));
        if self.paths.is_empty() {
            return wrong("paths is empty: name recordings, files of stored events, or folders of them");
        }
        if self.max_record_bytes == 0 || self.sort_window == 0 {
            return wrong("max_record_bytes and sort_window must be above 0");
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from >= to) {
            return wrong("from must be before to");
        }
        if let Err(message) = self.pace.check() {
            return wrong(message);
        }
        Ok(())
    }
}
