use std::sync::Arc;

use qicore_data::{Enrichment, Quality, Result};

use super::bar::Bar;
use super::frame::Frame;

/// Why a candle's quality is not high, as its reasons say it; shared by all candles.
#[derive(Debug, Clone)]
pub(super) struct Reasons {
    /// Nobody traded: it has the price of the one before.
    carried: Arc<Enrichment>,
    /// Nobody saw what was traded before the first trade, or during a gap.
    partial_interval: Arc<Enrichment>,
    /// It is made of trades whose own quality is not high.
    marked_trades: Arc<Enrichment>,
}

impl Reasons {
    pub(super) fn new() -> Result<Self> {
        let of = |reason| -> Result<_> {
            let mut enrichment = Enrichment::default();
            enrichment.add_reason(super::name(reason)?);
            Ok(Arc::new(enrichment))
        };
        Ok(Self {
            carried: of("carried")?,
            partial_interval: of("partial_interval")?,
            marked_trades: of("marked_trades")?,
        })
    }

    /// The reason for a bar of a frame, if it needs one.
    pub(super) fn of(&self, frame: &Frame, bar: &Bar) -> Option<Arc<Enrichment>> {
        let reason = match bar.quality {
            Quality::High => return None,
            _ if bar.trades == 0 => &self.carried,
            _ if frame.quality_at(bar.opens) != Quality::High => &self.partial_interval,
            _ => &self.marked_trades,
        };
        Some(Arc::clone(reason))
    }
}
