//! The types of fields as cells, and back.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::{Cell, Kind, Object};
use crate::event::{BookKind, Checksum, GapReason, InstrumentKind, Level, Origin, Quality, Severity, Side, TradeId};
use crate::intern::{Exchange, Label, Symbol};
use crate::time::Timestamp;
use crate::timeframe::Timeframe;

/// A field's type as a column holds it.
pub(super) trait Value: Sized {
    const KIND: Kind;
    const REQUIRED: bool = true;
    /// The texts of a closed set.
    const WORDS: &'static [&'static str] = &[];

    fn cell(&self) -> Cell<'_>;

    /// The text, where it lies as one.
    #[inline]
    fn text(&self) -> Option<&str> {
        None
    }

    /// The decimal, if it is one.
    #[inline]
    fn decimal(&self) -> Option<&Decimal> {
        None
    }

    /// Takes the value out of a cell; the error says what the cell is instead.
    fn take(cell: Cell<'_>) -> Result<Self, String>;
}

fn unfit<T>(kind: Kind, cell: &Cell<'_>) -> Result<T, String> {
    Err(match cell {
        Cell::Absent => "the value is missing".to_owned(),
        other => format!("not a {kind:?}: {other:?}").to_lowercase(),
    })
}

impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
    const WORDS: &'static [&'static str] = T::WORDS;

    #[inline]
    fn cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Absent, T::cell)
    }

    #[inline]
    fn text(&self) -> Option<&str> {
        self.as_ref().and_then(T::text)
    }

    #[inline]
    fn decimal(&self) -> Option<&Decimal> {
        self.as_ref().and_then(T::decimal)
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Absent => Ok(None),
            cell => T::take(cell).map(Some),
        }
    }
}

/// Types that are what their cell holds.
macro_rules! plain {
    ($($type:ty: $kind:ident,)+) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::$kind;

            #[inline]
            fn cell(&self) -> Cell<'_> {
                Cell::$kind(*self)
            }

            fn take(cell: Cell<'_>) -> Result<Self, String> {
                match cell {
                    Cell::$kind(value) => Ok(value),
                    other => unfit(Self::KIND, &other),
                }
            }
        }
    )+};
}

impl Value for Decimal {
    const KIND: Kind = Kind::Decimal;

    #[inline]
    fn cell(&self) -> Cell<'_> {
        Cell::Decimal(*self)
    }

    #[inline]
    fn decimal(&self) -> Option<&Decimal> {
        Some(self)
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Decimal(value) => Ok(value),
            other => unfit(Self::KIND, &other),
        }
    }
}

plain! {
    Timestamp: Time,
    u64: Count,
    bool: Flag,
}

/// Types with a fixed text for each value, which they can be read from.
macro_rules! named {
    ($($type:ty: $words:expr,)+) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::Text;
            const WORDS: &'static [&'static str] = $words;

            #[inline]
            fn cell(&self) -> Cell<'_> {
                Cell::Text(Cow::Borrowed(self.as_str()))
            }

            #[inline]
            fn text(&self) -> Option<&str> {
                Some(self.as_str())
            }

            fn take(cell: Cell<'_>) -> Result<Self, String> {
                let text = text(cell)?;
                Self::from_str(&text).map_err(|error| error.to_string())
            }
        }
    )+};
}

named! {
    Exchange: &[],
    Symbol: &[],
    Label: &[],
    Quality: Quality::NAMES,
    Side: Side::NAMES,
    BookKind: BookKind::NAMES,
    Checksum: Checksum::NAMES,
    Timeframe: Timeframe::NAMES,
    Origin: Origin::NAMES,
    InstrumentKind: InstrumentKind::NAMES,
    GapReason: GapReason::NAMES,
    Severity: Severity::NAMES,
}

fn text(cell: Cell<'_>) -> Result<Cow<'_, str>, String> {
    match cell {
        Cell::Text(text) => Ok(text),
        Cell::Digits(number) => Ok(Cow::Owned(number.to_string())),
        other => unfit(Kind::Text, &other),
    }
}

impl Value for TradeId {
    const KIND: Kind = Kind::Text;

    #[inline]
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Number(number) => Cell::Digits(*number),
            Self::Text(text) => Cell::Text(Cow::Borrowed(text)),
        }
    }

    #[inline]
    fn text(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(text),
        }
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Digits(number) => Ok(Self::Number(number)),
            cell => text(cell).map(|text| Self::new(&text)),
        }
    }
}

impl Value for Arc<str> {
    const KIND: Kind = Kind::Text;

    fn cell(&self) -> Cell<'_> {
        Cell::Text(Cow::Borrowed(self))
    }

    fn text(&self) -> Option<&str> {
        Some(self)
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            // A format that cannot tell an empty text from none: the value is required, so it was empty.
            Cell::Absent => Ok("".into()),
            cell => text(cell).map(Self::from),
        }
    }
}

impl Value for u32 {
    const KIND: Kind = Kind::Count;

    fn cell(&self) -> Cell<'_> {
        Cell::Count(u64::from(*self))
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        Self::try_from(u64::take(cell)?).map_err(|_| "more than 32 bits".to_owned())
    }
}

impl Value for Vec<Level> {
    const KIND: Kind = Kind::Levels;

    fn cell(&self) -> Cell<'_> {
        Cell::Levels(Cow::Borrowed(self))
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Levels(levels) => Ok(levels.into_owned()),
            other => unfit(Self::KIND, &other),
        }
    }
}

impl Value for Arc<Object> {
    const KIND: Kind = Kind::Json;

    fn cell(&self) -> Cell<'_> {
        Cell::Json(Cow::Borrowed(self))
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Json(object) => Ok(Self::new(object.into_owned())),
            other => unfit(Self::KIND, &other),
        }
    }
}
