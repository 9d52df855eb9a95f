//! What is told of books.

use qicore_data::{Error, Result};
use serde::Deserialize;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Tell {
    /// Snapshots of the best levels, when one of them changes.
    #[default]
    Books,
    /// Best bid and ask with their sizes, when one of those changes.
    Quotes,
}

/// The configuration of [`Top`](super::Top).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TopConfig {
    /// What is told.
    pub tell: Tell,
    /// How many levels of each side.
    pub depth: usize,
    /// Whether the venue's own snapshots and changes are passed on too.
    pub keep: bool,
    /// Venues whose books have a bounded depth, and that do not say when a level leaves it: their books are cut to the
    /// depth that their snapshots have, of 10, 25, 100, 500 and 1000. (Kraken: docs.kraken.com, "Book checksum".)
    pub bounded: Vec<String>,
}

impl Default for TopConfig {
    fn default() -> Self {
        Self {
            tell: Tell::Books,
            depth: 10,
            keep: false,
            bounded: vec!["kraken".to_owned()],
        }
    }
}

impl TopConfig {
    /// Tells quotes.
    pub fn quotes() -> Self {
        Self {
            tell: Tell::Quotes,
            ..Self::default()
        }
    }

    /// Tells so many levels of each side.
    pub fn levels(depth: usize) -> Self {
        Self {
            depth,
            ..Self::default()
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.depth {
            0 => Err(Error::config("top", "depth must be at least 1")),
            _ => Ok(()),
        }
    }
}
