//! The types of fields on the wire, and back.

use std::sync::Arc;

use prost::encoding::WireType;
use qicore_data::columns::Object;
use qicore_data::{
    BookKind, Checksum, Decimal, Exchange, GapReason, InstrumentKind, Label, Origin, Quality, Result, Severity, Side,
    Symbol, Timeframe, Timestamp, TradeId,
};

use super::field::{Message, found, write};
use super::wire::{Reader, push_delimited, push_varint, wrong};

/// A value on the wire.
pub(super) trait Value: Sized {
    const WIRE_TYPE: WireType;

    /// Appends the value, without a key.
    fn push(&self, out: &mut Vec<u8>);

    /// Reads the value. `None` if it says that there is none: the zero of a closed set.
    fn take(reader: &mut Reader<'_>) -> Result<Option<Self>>;

    /// What a field that is not there stands for.
    #[inline]
    fn absent() -> Option<Self> {
        None
    }

    /// Whether the value needs not be written.
    #[inline]
    fn is_absent(&self) -> bool {
        false
    }
}

impl<T: Message> Value for T {
    const WIRE_TYPE: WireType = WireType::LengthDelimited;

    #[inline]
    fn push(&self, out: &mut Vec<u8>) {
        push_delimited(out, |out| self.write(out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Option<Self>> {
        T::read(Reader::new(reader.delimited()?)).map(Some)
    }
}

/// Numbers as varints: how they become one, and how they come back.
macro_rules! varints {
    ($($type:ty: |$value:ident| $varint:expr, |$read:ident| $back:expr, $default:expr;)+) => {$(
        impl Value for $type {
            const WIRE_TYPE: WireType = WireType::Varint;

            #[inline]
            fn push(&self, out: &mut Vec<u8>) {
                let $value = *self;
                push_varint($varint, out);
            }

            #[inline]
            fn take(reader: &mut Reader<'_>) -> Result<Option<Self>> {
                let $read = reader.varint()?;
                $back
            }

            #[inline]
            fn absent() -> Option<Self> {
                $default
            }

            #[inline]
            fn is_absent(&self) -> bool {
                Self::absent() == Some(*self)
            }
        }
    )+};
}

varints! {
    bool: |flag| u64::from(flag), |read| Ok(Some(read != 0)), Some(false);
    u32: |number| u64::from(number), |read| narrow(read).map(Some), Some(0);
    u64: |number| number, |read| Ok(Some(read)), None;
    Side: |word| word as u64 + 1, |read| word(Self::ALL, read), None;
    Quality: |word| word as u64 + 1, |read| word(Self::ALL, read), Some(Self::High);
    Origin: |word| word as u64 + 1, |read| word(Self::ALL, read), None;
    BookKind: |word| word as u64 + 1, |read| word(Self::ALL, read), None;
    Checksum: |word| word as u64 + 1, |read| word(Self::ALL, read), None;
    InstrumentKind: |word| word as u64 + 1, |read| word(Self::ALL, read), None;
    GapReason: |word| word as u64 + 1, |read| word(Self::ALL, read), None;
    Severity: |word| word as u64 + 1, |read| word(Self::ALL, read), None;
}

/// A number that is to have 32 bits.
pub(super) fn narrow(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| wrong("a number of more than 32 bits"))
}

/// The value of a closed set, which are numbered from 1.
fn word<T: Copy>(all: &[T], number: u64) -> Result<Option<T>> {
    let Some(index) = number.checked_sub(1) else {
        return Ok(None);
    };
    match usize::try_from(index).ok().and_then(|index| all.get(index)) {
        Some(word) => Ok(Some(*word)),
        None => Err(wrong(format!("the value {number}, which this version does not know"))),
    }
}

impl Value for Timestamp {
    const WIRE_TYPE: WireType = WireType::SixtyFourBit;

    #[inline]
    fn push(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nanos().to_le_bytes());
    }

    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Option<Self>> {
        Ok(Some(Self::from_nanos(reader.fixed64()? as i64)))
    }
}

/// Texts: where they lie, and what is made of them.
macro_rules! texts {
    ($($type:ty: |$value:ident| $text:expr, |$read:ident| $back:expr;)+) => {$(
        impl Value for $type {
            const WIRE_TYPE: WireType = WireType::LengthDelimited;

            #[inline]
            fn push(&self, out: &mut Vec<u8>) {
                let $value = self;
                let text: &str = $text;
                push_varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }

            #[inline]
            fn take(reader: &mut Reader<'_>) -> Result<Option<Self>> {
                let $read = reader.text()?;
                $back.map(Some).map_err(|error| wrong(error.to_string()))
            }
        }
    )+};
}

texts! {
    Exchange: |name| name.as_str(), |text| Self::new(text);
    Symbol: |name| name.as_str(), |text| Self::new(text);
    Label: |name| name.as_str(), |text| Self::new(text);
    // Not numbered: their order is that of their length, so that a new one would move the others.
    Timeframe: |frame| frame.as_str(), |text| text.parse::<Self>();
    Arc<str>: |text| text, |text| Ok::<_, std::convert::Infallible>(text.into());
}

impl Value for Arc<Object> {
    const WIRE_TYPE: WireType = WireType::LengthDelimited;

    /// As JSON: Protobuf's own `Struct` has only floats for numbers.
    fn push(&self, out: &mut Vec<u8>) {
        // Writing to memory cannot fail, and all keys are texts.
        push_delimited(out, |out| serde_json::to_writer(out, self).unwrap_or_default());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Option<Self>> {
        serde_json::from_str(reader.text()?)
            .map(Some)
            .map_err(|error| wrong(error.to_string()))
    }
}

/// One of two fields: most ids are numbers.
impl Message for TradeId {
    const NAME: &'static str = "TradeId";

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => write(1, number, out),
            Self::Text(text) => write(2, text, out),
            other => write(2, &Arc::<str>::from(other.to_string()), out),
        }
    }

    fn read(mut reader: Reader<'_>) -> Result<Self> {
        let (mut number, mut text): (Option<u64>, Option<Arc<str>>) = (None, None);
        while let Some(key) = reader.key()? {
            match key.number {
                1 => reader.field(key, &mut number, (Self::NAME, "number"))?,
                2 => reader.field(key, &mut text, (Self::NAME, "text"))?,
                _ => reader.skip(key)?,
            }
        }
        match (number, text) {
            (Some(number), None) => Ok(Self::Number(number)),
            (None, Some(text)) => Ok(Self::new(&text)),
            _ => Err(wrong("a trade's id is a number or a text")),
        }
    }
}

/// The parts of a decimal as they are on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) low: u64,
    pub(super) high: u32,
    /// The digits behind the point, twice, and one more for a negative number.
    pub(super) sign_scale: u32,
}

impl From<Decimal> for Parts {
    #[inline]
    fn from(value: Decimal) -> Self {
        let parts = value.unpack();
        Self {
            low: u64::from(parts.mid) << 32 | u64::from(parts.lo),
            high: parts.hi,
            sign_scale: parts.scale << 1 | u32::from(parts.negative),
        }
    }
}

impl TryFrom<Parts> for Decimal {
    type Error = qicore_data::Error;

    #[inline]
    fn try_from(parts: Parts) -> Result<Self> {
        let Parts { low, high, sign_scale } = parts;
        let scale = sign_scale >> 1;
        if scale > Self::MAX_SCALE {
            return Err(wrong(format!(
                "a decimal of {scale} digits behind the point, of at most 28"
            )));
        }
        let negative = sign_scale & 1 == 1 && (low, high) != (0, 0);
        Ok(Self::from_parts(low as u32, (low >> 32) as u32, high, negative, scale))
    }
}

/// As protobuf-net has .NET's decimals, which are the same 96 bits and scale: integers alone, for every value.
impl Message for Decimal {
    const NAME: &'static str = "Decimal";

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let Parts { low, high, sign_scale } = (*self).into();
        if low != 0 {
            write(1, &low, out);
        }
        write(2, &high, out);
        write(3, &sign_scale, out);
    }

    #[inline]
    fn read(mut reader: Reader<'_>) -> Result<Self> {
        let (mut low, mut high, mut sign_scale) = (None, None, None);
        while let Some(key) = reader.key()? {
            match key.number {
                1 => reader.field(key, &mut low, (Self::NAME, "low"))?,
                2 => reader.field(key, &mut high, (Self::NAME, "high"))?,
                3 => reader.field(key, &mut sign_scale, (Self::NAME, "sign_scale"))?,
                _ => reader.skip(key)?,
            }
        }
        let parts = Parts {
            low: low.unwrap_or(0),
            high: found(high, (Self::NAME, "high"))?,
            sign_scale: found(sign_scale, (Self::NAME, "sign_scale"))?,
        };
        parts.try_into()
    }
}
