//! At which precision the checksums of WebSocket v2 are, and the book that is compared with them.

use qicore_data::{Checksum, Timestamp};
use serde::{Deserialize, Serialize};

use super::checksum::{Scales, VerifiedBook};
use super::pairs::BookState;
use super::wire::v2::Part;

/// The depths that can be subscribed to.
const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1000];

/// The precision of a pair, as far as it is known.
///
/// The list of instruments tells it. Without one, it is taken to be the most fractional digits seen, and is known as soon
/// as a checksum holds at it: digits at any other precision differ. Until then nothing is said of checksums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Precision {
    known: Option<Scales>,
    /// It is known from a list.
    #[serde(default)]
    told: bool,
    seen: Scales,
}

impl Precision {
    /// Learns it from a list of instruments.
    pub(super) fn tell(&mut self, scales: Scales) {
        (self.known, self.told) = (Some(scales), true);
    }

    /// Compares a book that has taken up a message with the checksum in it.
    fn compare(&mut self, book: &mut VerifiedBook, part: &Part) -> Option<Checksum> {
        let seen = Scales {
            price: part.digits.0,
            size: part.digits.1,
        };
        self.seen = self.seen.max(seen);
        let sent = part.book.checksum?;
        if self.known.is_some() && book.checksum(self.known) == sent {
            return Some(Checksum::Ok);
        }
        // A snapshot is complete in itself: where it does not fit, the precision may have become less.
        if part.book.snapshot {
            self.seen = seen;
        }
        if book.checksum(Some(self.seen)) == sent {
            // Nothing is learnt from an empty book, whose checksum is the same at all precisions.
            if !book.is_empty() {
                (self.known, self.told) = (Some(self.seen), false);
            }
            return Some(Checksum::Ok);
        }
        if part.book.snapshot && !self.told {
            self.known = None;
        }
        self.known.map(|_| Checksum::Mismatch)
    }
}

/// The book of a pair over WebSocket v2, where a connection has one of each. The form in a checkpoint too.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Book {
    #[serde(default)]
    pub(super) precision: Precision,
    /// The depth that was acknowledged: messages do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subscribed: Option<usize>,
    /// The depth is known, not supposed.
    sure: bool,
    pub(super) state: BookState,
}

impl Book {
    /// A book that nothing is known of.
    pub(super) fn new(told: Option<Scales>) -> Self {
        let mut precision = Precision::default();
        told.into_iter().for_each(|scales| precision.tell(scales));
        Self {
            precision,
            subscribed: None,
            sure: false,
            state: BookState::new(0),
        }
    }

    /// The time of the last book event.
    pub(super) fn last(&mut self) -> &mut Timestamp {
        &mut self.state.last
    }

    /// Takes up a message and compares checksums. A book that is found to differ is dropped until the next snapshot. If
    /// its depth was but supposed, that may be the reason, and no mismatch is told.
    pub(super) fn take_up(&mut self, part: &Part) -> Option<Checksum> {
        if part.book.snapshot {
            self.begin(part.book.bids.len().max(part.book.asks.len()));
        }
        let book = self.state.book.as_mut()?;
        book.apply(&part.book);
        let found = self.precision.compare(book, part);
        if found == Some(Checksum::Mismatch) {
            self.state.book = None;
            return found.filter(|_| self.sure);
        }
        found
    }

    /// Makes ready for a snapshot of so many levels. Without an acknowledgement the depth is the least that has room for
    /// them, which is sure where they fill it.
    fn begin(&mut self, levels: usize) {
        let (depth, sure) = match self.subscribed {
            Some(depth) if depth >= levels => (depth, true),
            _ => {
                let least = DEPTHS.iter().copied().find(|depth| *depth >= levels);
                (least.unwrap_or(usize::MAX), least == Some(levels))
            }
        };
        if self.state.book.is_none() || self.state.depth != depth {
            self.state.book = Some(VerifiedBook::new(depth));
        }
        (self.state.depth, self.sure) = (depth, sure);
    }
}
