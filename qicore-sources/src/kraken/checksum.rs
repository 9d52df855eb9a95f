//! Kraken's book checksum, and the maintained book that is compared with it.
//!
//! The checksum is the CRC-32 of the ten best asks, best first, then the ten best bids, each level as the digits of its
//! price and then of its size, without the point and without leading zeros. In WebSocket v1 those are the digits of the
//! decimals' mantissas, since a decimal keeps the scale it was sent with. In v2 they are the digits at the pair's
//! precision: numbers in JSON may have lost their trailing zeros. (docs.kraken.com, "Book checksum", v1 and v2.)

use crc32fast::Hasher;
use qicore_data::{Decimal, Level};
use serde::{Deserialize, Serialize};

use super::wire;
use qicore_data::OrderBook;

/// Levels of a side that the checksum covers.
const COVERED: usize = 10;

/// Fractional digits of a pair's prices and sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scales {
    pub(super) price: u32,
    pub(super) size: u32,
}

impl Scales {
    /// The more digits of both.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            price: self.price.max(other.price),
            size: self.size.max(other.size),
        }
    }
}

/// A book that is maintained to be verified.
///
/// Most changes touch one side, and few of its levels: what the checksum is made of is kept, and only what a change
/// reaches is made again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct VerifiedBook {
    book: OrderBook,
    /// The digits that the rest is made of; `None`: those sent.
    #[serde(skip)]
    scales: Option<Scales>,
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
            scales: None,
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

    /// Whether there is no level.
    pub(super) fn is_empty(&self) -> bool {
        self.book.bids().len() == 0 && self.book.asks().len() == 0
    }

    /// The checksum of the book as it is, of so many digits or else of those sent.
    pub(super) fn checksum(&mut self, scales: Option<Scales>) -> u32 {
        if self.scales != scales {
            self.scales = scales;
            self.asks.keep(0);
            self.bids.keep(0);
            (self.after_asks, self.checksum) = (None, None);
        }
        if let Some(checksum) = self.checksum {
            return checksum;
        }
        let after_asks = self.after_asks.get_or_insert_with(|| {
            let mut hasher = Hasher::new();
            hasher.update(self.asks.complete(self.book.asks(), scales));
            hasher
        });
        let mut hasher = after_asks.clone();
        hasher.update(self.bids.complete(self.book.bids(), scales));
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
    fn complete<'b>(&mut self, levels: impl Iterator<Item = &'b Level>, scales: Option<Scales>) -> &[u8] {
        for level in levels.take(COVERED).skip(self.ends.len()) {
            self.push(level.price, scales.map(|scales| scales.price));
            self.push(level.size, scales.map(|scales| scales.size));
            self.ends.push(self.text.len());
        }
        &self.text
    }

    fn push(&mut self, value: Decimal, scale: Option<u32>) {
        let mut buffer = itoa::Buffer::new();
        let mantissa = value.mantissa().unsigned_abs();
        let digits = match u64::try_from(mantissa) {
            Ok(short) => buffer.format(short),
            Err(_) => buffer.format(mantissa),
        };
        self.text.extend_from_slice(digits.as_bytes());
        if let Some(scale) = scale.filter(|scale| *scale != value.scale()) {
            self.rescale(value.scale(), scale);
        }
    }

    /// Gives the number at the end of the text the zeros that it has lost. Those that it has beyond the scale go, and
    /// other digits stay: such a number is not of that precision.
    #[cold]
    fn rescale(&mut self, from: u32, to: u32) {
        for _ in from..to {
            self.text.push(b'0');
        }
        for _ in to..from {
            if self.text.last() != Some(&b'0') {
                break;
            }
            self.text.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_at_a_precision() {
        let digits = |text: &str, scale| {
            let mut digits = Digits::default();
            digits.push(qicore_data::decimal::parse(text).unwrap(), scale);
            String::from_utf8(digits.text).unwrap()
        };
        assert_eq!(digits("0.0010", None), "10");
        assert_eq!(digits("0.001", Some(8)), "100000");
        assert_eq!(digits("4.0", Some(8)), "400000000");
        assert_eq!(digits("29431", Some(1)), "294310");
        assert_eq!(digits("29431.000", Some(1)), "294310");
        assert_eq!(digits("29431.250", Some(1)), "2943125");
        assert_eq!(
            digits("79228162514264337593543950335", Some(2)),
            "7922816251426433759354395033500"
        );
    }
}
