//! The order of time over many files.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use qicore_data::{Data, Event, Result, Timestamp};

use super::rows::{Chain, Row};
use crate::replay::stream::event_due;

/// Merges chains of files whose rows are nearly in order.
///
/// Two steps: the chain whose next row has the earliest time is read on, and what has been read waits in a window until
/// the window is full of later events. The window brings candles from their open time, by which files are ordered and
/// split into days, to their close time, and puts right what arrived out of order. An exact sort of any file would
/// need all of it in memory.
pub(super) struct Merge {
    chains: Vec<Chain>,
    /// The next event of each chain.
    heads: Vec<Option<Event>>,
    by_time: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Chains of which the next row has not been read.
    stale: Vec<usize>,
    window: Window,
}

impl Merge {
    pub(super) fn new(window: usize) -> Self {
        Self {
            chains: Vec::new(),
            heads: Vec::new(),
            by_time: BinaryHeap::new(),
            stale: Vec::new(),
            window: Window::new(window),
        }
    }

    /// Goes on with the files of another day. The window stays: its candles close then.
    pub(super) fn add(&mut self, chains: Vec<Chain>) {
        self.stale = (0..chains.len()).collect();
        self.heads = chains.iter().map(|_| None).collect();
        self.chains = chains;
    }

    /// The next event, or a row that cannot be read; `None` once the chains are through. The window keeps its events
    /// for [`rest`](Self::rest).
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        loop {
            while let Some(at) = self.stale.pop() {
                match self.chains[at].next()? {
                    Some(Row::Event(event)) => {
                        self.by_time.push(Reverse((event.timestamp, at)));
                        self.heads[at] = Some(event);
                    }
                    Some(damaged) => {
                        self.stale.push(at);
                        return Ok(Some(damaged));
                    }
                    None => {}
                }
            }
            let Some(Reverse((_, at))) = self.by_time.pop() else {
                return Ok(None);
            };
            self.stale.push(at);
            if let Some(event) = self.heads[at].take()
                && let Some(earliest) = self.window.exchange(event)
            {
                return Ok(Some(Row::Event(earliest)));
            }
        }
    }

    /// The next event of the window, once all chains are through.
    pub(super) fn rest(&mut self) -> Option<Event> {
        self.window.pop()
    }
}

/// A bounded number of events, earliest first. Only keys are moved about.
struct Window {
    size: usize,
    keys: BinaryHeap<Reverse<Key>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    arrivals: u64,
}

/// The time, a candle before what happens at the moment it closes, and the order of arrival.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    due: Timestamp,
    after_candles: bool,
    arrival: u64,
    place: usize,
}

impl Window {
    fn new(size: usize) -> Self {
        Self {
            size,
            keys: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            arrivals: 0,
        }
    }

    /// Puts an event in, and takes the earliest out if the window is full.
    fn exchange(&mut self, event: Event) -> Option<Event> {
        self.arrivals += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.keys.push(Reverse(Key {
            due: event_due(&event),
            after_candles: !matches!(event.data, Data::Candle(_)),
            arrival: self.arrivals,
            place,
        }));
        self.events[place] = Some(event);
        if self.keys.len() > self.size { self.pop() } else { None }
    }

    fn pop(&mut self) -> Option<Event> {
        let Reverse(key) = self.keys.pop()?;
        self.free.push(key.place);
        self.events[key.place].take()
    }
}
