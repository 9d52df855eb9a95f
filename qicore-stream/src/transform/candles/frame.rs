use std::collections::VecDeque;

use qicore_data::{Quality, Timestamp};

use super::bar::Bar;

/// The bars of one symbol and timeframe that trades can still change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// Bars that open before this are built from less than a whole interval: nobody saw what was traded before the
    /// first trade, or during a gap.
    pub(super) whole_from: Timestamp,
    /// By open time. Those that ended at the watermark or before are closed, the others open.
    pub(super) bars: VecDeque<Bar>,
}

impl Frame {
    pub(super) fn new(whole_from: Timestamp) -> Self {
        Self {
            whole_from,
            bars: VecDeque::new(),
        }
    }

    /// The place of the bar that opens at `opens`, or where it would be.
    pub(super) fn find(&self, opens: Timestamp) -> Result<usize, usize> {
        match self.bars.back() {
            None => Err(0),
            Some(newest) if newest.opens < opens => Err(self.bars.len()),
            Some(_) => self.bars.binary_search_by_key(&opens, |bar| bar.opens),
        }
    }

    /// The quality of a bar that opens at `opens`, as far as its interval is concerned.
    pub(super) fn quality_at(&self, opens: Timestamp) -> Quality {
        if opens < self.whole_from {
            Quality::Medium
        } else {
            Quality::High
        }
    }

    /// Trades between `from` and `to` are missing.
    pub(super) fn miss(&mut self, from: Timestamp, to: Timestamp) {
        self.whole_from = self.whole_from.max(to);
        let touched = |bar: &&mut Bar| !bar.closed && bar.opens < to && from < bar.ends;
        for bar in self.bars.iter_mut().filter(touched) {
            bar.quality = bar.quality.max(Quality::Medium);
        }
    }

    /// Whether a bar can go once it can no longer be corrected: the last closed one stays, since the next empty interval
    /// carries its price.
    pub(super) fn has_closed_after(&self, place: usize) -> bool {
        self.bars.get(place + 1).is_some_and(|next| next.closed)
    }

    /// Lets go of bars that can no longer be corrected.
    pub(super) fn forget(&mut self, expired: impl Fn(&Bar) -> bool) {
        while self.has_closed_after(0) && self.bars.front().is_some_and(&expired) {
            self.bars.pop_front();
        }
    }
}
