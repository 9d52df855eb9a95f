//! Kraken's book checksum, and the maintained book that is compared with it.
//!
//! The checksum is the CRC-32 of the ten best asks, best first, then the ten best bids, each level as the digits of its
//! price and then of its size, without the point and without leading zeros. Those are the digits of the decimals'
//! mantissas, since a decimal keeps the scale it was sent with. (docs.kraken.com, "Book checksum, v1".)

use crc32fast::Hasher;
use qicore_data::{Decimal, Level};
use serde::{Deserialize, Serialize};

use super::wire;
use crate::venue::book::OrderBook;

/// Levels of a side that the checksum covers.
const COVERED: usize = 10;

/// A book that is maintained to be verified.
///
/// Most changes touch one side, and few of its levels: what the checksum is made of is kept, and only what a change
/// reaches is made again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct VerifiedBook {
    book: OrderBook,
    #[serde(skip)]
    asks: Digits,
    #[serde(skip)]
    bids: Digits,
    /// The CRC after the asks.
    #[serde(skip)]
    after_asks: Option<Hasher>,
    #[serde(skip)]
    checksum: Option<u32>,
}

impl VerifiedBook {
    /// An empty book of the depth subscribed.
    pub(super) fn new(depth: usize) -> Self {
        Self {
            book: OrderBook::with_depth(depth),
            asks: Digits::default(),
            bids: Digits::default(),
            after_asks: None,
            checksum: None,
        }
    }

    /// Takes up a message. All its levels count before the depth is cut.
    pub(super) fn apply(&mut self, message: &wire::Book) {
        let touched = if message.snapshot {
            self.book.replace(&message.bids, &message.asks)
        } else {
            self.book.update(&message.bids, &message.asks)
        };
        let covered = |rank: Option<usize>| rank.filter(|rank| *rank < COVERED);
        if let Some(rank) = covered(touched.asks) {
            self.asks.keep(rank);
            self.after_asks = None;
            self.checksum = None;
        }
        if let Some(rank) = covered(touched.bids) {
            self.bids.keep(rank);
            self.checksum = None;
        }
    }

    /// The checksum of the book as it is.
    pub(super) fn checksum(&mut self) -> u32 {
        if let Some(checksum) = self.checksum {
            return checksum;
        }
        let after_asks = self.after_asks.get_or_insert_with(|| {
            let mut hasher = Hasher::new();
            hasher.update(self.asks.complete(self.book.asks()));
            hasher
        });
        let mut hasher = after_asks.clone();
        hasher.update(self.bids.complete(self.book.bids()));
        *self.checksum.insert(hasher.finalize())
    }
}

/// The digits of a side's best levels, one after the other.
#[derive(Debug, Clone, Default)]
struct Digits {
    text: Vec<u8>,
    /// Where each level's digits end.
    ends: Vec<usize>,
}

impl Digits {
    /// Forgets the levels from `rank` on.
    fn keep(&mut self, rank: usize) {
        self.ends.truncate(rank);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// The digits of all levels covered; those forgotten are taken from `levels`, the side with its best level first.
    fn complete<'b>(&mut self, levels: impl Iterator<Item = &'b Level>) -> &[u8] {
        for level in levels.take(COVERED).skip(self.ends.len()) {
            self.push(level.price);
            self.push(level.size);
            self.ends.push(self.text.len());
        }
        &self.text
    }

    fn push(&mut self, value: Decimal) {
        let mut buffer = itoa::Buffer::new();
        let mantissa = value.mantissa().unsigned_abs();
        let digits = match u64::try_from(mantissa) {
            Ok(short) => buffer.format(short),
            Err(_) => buffer.format(mantissa),
        };
        self.text.extend_from_slice(digits.as_bytes());
    }
}
