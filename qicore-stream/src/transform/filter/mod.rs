//! `filter`: passes on what matches, in order; the rest is dropped on purpose and goes to no dead letter.
//!
//! ```
//! use qicore_data::EventType;
//! use qicore_stream::transform::Filter;
//! use qicore_stream::transform::filter::{FilterConfig, Selection};
//!
//! // From a configuration …
//! let trades = Selection::default().event_type(EventType::Trade);
//! let from_config = Filter::from(FilterConfig::default().keep(trades));
//! // … or any condition of a program.
//! let from_closure = Filter::new(|event| event.event_type() == EventType::Trade);
//! ```

mod config;

pub use config::{FilterConfig, Selection, SymbolPattern};

use std::fmt;
use std::sync::Arc;

use qicore_data::{Event, NewTransform, Output, Plugin, Result, Transform};

use super::per_lane;

/// The registry's entry.
pub(super) const PLUGIN: Plugin<NewTransform> = Plugin::new(
    "filter",
    "passes on events by kind, venue, symbol and quality",
    |settings| Ok(per_lane(Filter::from(settings.read::<FilterConfig>()?))),
);

/// Passes on the events that a condition holds for.
#[derive(Clone)]
pub struct Filter {
    passes: Arc<dyn Fn(&Event) -> bool + Send + Sync>,
}

impl Filter {
    /// Passes on what `passes` holds for. It must depend on the event alone.
    pub fn new(passes: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        Self {
            passes: Arc::new(passes),
        }
    }
}

impl From<FilterConfig> for Filter {
    fn from(config: FilterConfig) -> Self {
        Self::new(move |event| config.passes(event))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl Transform for Filter {
    fn name(&self) -> &str {
        "filter"
    }

    fn apply(&mut self, mut events: Vec<Event>, out: &mut Output) -> Result<()> {
        events.retain(|event| (self.passes)(event));
        out.forward(events);
        Ok(())
    }
}
