//! The levels of a book, as columns: half the bytes of a message for each decimal, and no keys between the numbers.

use prost::encoding::WireType;
use qicore_data::{Decimal, Level, Levels, Result};

use super::field::Message;
use super::value::{Parts, narrow};
use super::wire::{Reader, push_delimited, push_key, push_varint, wrong};

impl Message for Levels {
    const NAME: &'static str = "Levels";

    fn write(&self, out: &mut Vec<u8>) {
        write_decimals(1, self.bids(), |level| level.price, out);
        write_decimals(2, self.bids(), |level| level.size, out);
        write_decimals(3, self.asks(), |level| level.price, out);
        write_decimals(4, self.asks(), |level| level.size, out);
    }

    fn read(reader: Reader<'_>) -> Result<Self> {
        let names = ["bid_prices", "bid_sizes", "ask_prices", "ask_sizes"];
        let [bid_prices, bid_sizes, ask_prices, ask_sizes] = reader.pieces(Self::NAME, names)?;
        let mut levels = Vec::new();
        read_side(bid_prices, bid_sizes, &mut levels)?;
        let bids = levels.len();
        read_side(ask_prices, ask_sizes, &mut levels)?;
        Ok(Self::from_joined(&levels, bids))
    }
}

fn write_decimals(number: u32, levels: &[Level], of: impl Fn(&Level) -> Decimal, out: &mut Vec<u8>) {
    if levels.is_empty() {
        return;
    }
    let parts = || levels.iter().map(|level| Parts::from(of(level)));
    push_key(number, WireType::LengthDelimited, out);
    push_delimited(out, |out| {
        write_packed(1, parts().map(|parts| parts.low), out);
        if parts().any(|parts| parts.high != 0) {
            write_packed(2, parts().map(|parts| u64::from(parts.high)), out);
        }
        write_packed(3, parts().map(|parts| u64::from(parts.sign_scale)), out);
    });
}

fn write_packed(number: u32, values: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    push_key(number, WireType::LengthDelimited, out);
    push_delimited(out, |out| values.for_each(|value| push_varint(value, out)));
}

/// Appends the levels of a side.
fn read_side(prices: Reader<'_>, sizes: Reader<'_>, levels: &mut Vec<Level>) -> Result<()> {
    let (mut prices, mut sizes) = (Decimals::new(prices)?, Decimals::new(sizes)?);
    // Not what one of them says alone: memory is taken for levels that are there.
    levels.reserve(prices.low.count_varints().min(sizes.low.count_varints()));
    while !prices.is_empty() && !sizes.is_empty() {
        levels.push(Level::new(prices.next()?, sizes.next()?));
    }
    if prices.is_empty() && sizes.is_empty() {
        Ok(())
    } else {
        Err(uneven())
    }
}

#[cold]
fn uneven() -> qicore_data::Error {
    wrong("columns of different lengths")
}

/// What is left of a column of decimals.
struct Decimals<'a> {
    low: Reader<'a>,
    /// Absent where all are 0.
    high: Option<Reader<'a>>,
    sign_scale: Reader<'a>,
}

impl<'a> Decimals<'a> {
    fn new(message: Reader<'a>) -> Result<Self> {
        // Each in one piece, as every encoder writes packed numbers: in several they are refused, as any field that
        // comes twice.
        let [low, high, sign_scale] = message.pieces("Decimals", ["low", "high", "sign_scale"])?;
        let high = (!high.is_empty()).then_some(high);
        Ok(Self { low, high, sign_scale })
    }

    fn is_empty(&self) -> bool {
        self.low.is_empty() && self.sign_scale.is_empty() && self.high.is_none_or(|high| high.is_empty())
    }

    #[inline]
    fn next(&mut self) -> Result<Decimal> {
        if self.low.is_empty() || self.sign_scale.is_empty() || self.high.is_some_and(|high| high.is_empty()) {
            return Err(uneven());
        }
        let parts = Parts {
            low: self.low.varint()?,
            high: self.high.as_mut().map_or(Ok(0), |high| narrow(high.varint()?))?,
            sign_scale: narrow(self.sign_scale.varint()?)?,
        };
        parts.try_into()
    }
}
