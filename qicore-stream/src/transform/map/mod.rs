//! `map`: changes events with a closure. For programs; a configuration file has no way to write one.
//!
//! ```
//! use qicore_data::{Data, Exchange};
//! use qicore_stream::transform::Map;
//! // Trades of the American venue are told apart by name; its quotes are left out.
//! let binance_us = Exchange::new("binance_us")?;
//! let rename = Map::new("rename", move |mut event| {
//!     event.exchange = binance_us;
//!     (!matches!(event.data, Data::Quote(_))).then_some(event)
//! });
//! # Ok::<(), qicore_data::NameError>(())
//! ```

use std::fmt;
use std::sync::Arc;

use qicore_data::{Event, Output, Result, Transform};

/// Passes every event through a closure; `None` drops it.
///
/// What it makes of an event must depend on the event alone: a closure has no state that a checkpoint could keep. For
/// more, implement [`Transform`].
#[derive(Clone)]
pub struct Map<F> {
    name: Arc<str>,
    map: F,
}

impl<F: Fn(Event) -> Option<Event> + Clone + Send> Map<F> {
    /// A stage of this name.
    pub fn new(name: impl Into<Arc<str>>, map: F) -> Self {
        Self { name: name.into(), map }
    }
}

impl<F> fmt::Debug for Map<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F: Fn(Event) -> Option<Event> + Clone + Send> Transform for Map<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn apply(&mut self, events: Vec<Event>, out: &mut Output) -> Result<()> {
        out.forward(events.into_iter().filter_map(&self.map).collect());
        Ok(())
    }
}
