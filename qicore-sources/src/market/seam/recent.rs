//! The last bars, and what changes in them.

use std::collections::VecDeque;

use qicore_data::{Candle, Data, Event, Timestamp};

/// Bars that are compared with what comes again.
const REMEMBERED: usize = 64;

/// The last bars that have been put out. Revisions of older ones, and of those before a restart, are not seen: whether they
/// are revisions could not be told.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Timestamp, Candle)>);

impl Recent {
    pub(super) fn remember(&mut self, event: &Event) {
        self.0
            .extend(candle(event).map(|candle| (event.timestamp, candle.clone())));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// A bar that comes again is a revision if it says more. A venue that does not say when a bar is over (`closes`) sends late
    /// changes of one that was taken for over.
    pub(super) fn revised(&mut self, mut event: Event, closes: bool) -> Option<Event> {
        let Data::Candle(new) = &mut event.data else {
            return None;
        };
        let (_, known) = self.0.iter_mut().find(|(open, _)| *open == event.timestamp)?;
        if !new.closed && closes || !adds(known, new) {
            return None;
        }
        (new.closed, new.revision) = (true, known.revision + 1);
        *known = new.clone();
        Some(event)
    }
}

pub(super) fn candle(event: &Event) -> Option<&Candle> {
    match &event.data {
        Data::Candle(candle) => Some(candle),
        _ => None,
    }
}

/// The last state of a bar as that of one that is over.
pub(super) fn over(mut event: Event) -> Event {
    if let Data::Candle(candle) = &mut event.data {
        candle.closed = true;
    }
    event
}

/// Whether the second of two states of a bar is the newer one.
pub(super) fn is_newer(known: &Event, new: &Event) -> bool {
    matches!((candle(known), candle(new)), (Some(known), Some(new)) if adds(known, new))
}

/// Whether one state of a bar says more than another. Trades are only ever added to a bar: one with less volume is an older
/// one that came late. Not all channels of a venue tell the number of trades.
fn adds(known: &Candle, new: &Candle) -> bool {
    let trades = (known.trades.zip(new.trades)).map_or(std::cmp::Ordering::Equal, |(known, new)| new.cmp(&known));
    let differs = (known.open, known.high, known.low, known.close) != (new.open, new.high, new.low, new.close);
    match new.volume.cmp(&known.volume).then(trades) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => differs,
        std::cmp::Ordering::Greater => true,
    }
}
