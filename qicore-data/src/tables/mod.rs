//! Reference data that transforms look things up in.
//!
//! A pipeline fills its tables from sources of their own before it reads its main source, and keeps them up to date while
//! it runs. A transform gets them [when a lane makes its copy](crate::Transform::tables).

mod instruments;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use instruments::{Instruments, Listing, Update};

use crate::error::{Error, Result};

/// A pipeline's tables, by name. A clone is the same tables.
///
/// ```
/// use qicore_data::Tables;
/// let tables = Tables::new(["instruments"]);
/// assert!(tables.instruments("instruments")?.is_empty());
/// let error = tables.instruments("instrument").unwrap_err();
/// assert_eq!(error.message(), "unknown table \"instrument\"; known: instruments");
/// # Ok::<(), qicore_data::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tables(Arc<BTreeMap<Box<str>, Instruments>>);

impl Tables {
    /// Empty tables of these names.
    pub fn new<N: Into<Box<str>>>(names: impl IntoIterator<Item = N>) -> Self {
        names.into_iter().map(|name| (name, Instruments::default())).collect()
    }

    /// The table of this name.
    ///
    /// # Errors
    /// If there is none; the message says which there are.
    pub fn instruments(&self, name: &str) -> Result<Instruments> {
        self.0.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = self.0.keys().map(|name| &**name).collect();
            let message = match known.is_empty() {
                true => format!("unknown table {name:?}: the pipeline has no tables"),
                false => format!("unknown table {name:?}; known: {}", known.join(", ")),
            };
            Error::config("tables.instruments", message)
        })
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Instruments)> {
        self.0.iter().map(|(name, table)| (&**name, table))
    }
}

impl<N: Into<Box<str>>> FromIterator<(N, Instruments)> for Tables {
    fn from_iter<I: IntoIterator<Item = (N, Instruments)>>(tables: I) -> Self {
        Self(Arc::new(
            tables.into_iter().map(|(name, table)| (name.into(), table)).collect(),
        ))
    }
}
