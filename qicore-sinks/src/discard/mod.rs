//! Discard: takes everything, keeps nothing but a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use qicore_data::{Delivery, Mistakes, Receipt, Result, Settings, Sink, SinkCapabilities, WriterId};
use serde::Deserialize;

/// Counts events and forgets them: for dry runs, and to measure what comes before a sink.
///
/// Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Discard {
    events: Arc<AtomicU64>,
}

/// The configuration of [`Discard`]: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DiscardConfig {}

impl Discard {
    /// A sink that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Sink>, Mistakes> {
    settings.read::<DiscardConfig>()?;
    Ok(Arc::new(Discard::new()))
}

#[async_trait]
impl Sink for Discard {
    fn name(&self) -> &str {
        "discard"
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities::default()
    }

    async fn open(&self, _writer: &WriterId) -> Result<()> {
        Ok(())
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        self.events.fetch_add(delivery.len() as u64, Ordering::Relaxed);
        Ok(Receipt::durable())
    }
}
