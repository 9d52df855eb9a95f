//! Blocks of the tables as events.

use std::borrow::Cow;
use std::error::Error as StdError;

use clickhouse::native::decode::{Decode, ValueReader};
use clickhouse::native::{Block, Column, DataTypeNode};
use qicore_data::columns::{self, Cell};
use qicore_data::{Decimal, Error, Event, Level, Result, Timestamp};

use super::encode::from_units;
use super::tables::{Stored, Table};

type Unread = Box<dyn StdError + Send + Sync>;

/// A decimal of either width, or a double.
#[derive(Debug, Clone, Copy)]
struct Number(Decimal);

impl<'a> Decode<'a> for Number {
    fn compatible(of: &DataTypeNode) -> bool {
        matches!(of, DataTypeNode::Decimal(..) | DataTypeNode::Float64)
    }

    fn decode(reader: &mut ValueReader<'a>) -> std::result::Result<Self, Unread> {
        let value = match reader.data_type() {
            DataTypeNode::Decimal(_, scale, _) => {
                let scale = u32::from(*scale);
                match reader.native_bytes().len() {
                    16 => {
                        let units = i128::from_le_bytes(*reader.read_bytes_fixed()?);
                        from_units(units as u128, units >> 127, scale)
                    }
                    32 => {
                        let (low, high) = (*reader.read_bytes_fixed::<16>()?, *reader.read_bytes_fixed::<16>()?);
                        from_units(u128::from_le_bytes(low), i128::from_le_bytes(high), scale)
                    }
                    width => return Err(format!("a decimal of {width} bytes").into()),
                }
            }
            _ => {
                let double = f64::from_le_bytes(*reader.read_bytes_fixed()?);
                qicore_data::decimal::parse(&format!("{double}")).ok()
            }
        };
        value
            .map(Self)
            .ok_or_else(|| "a number that no decimal of 28 digits holds".into())
    }
}

/// Nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Nanos(i64);

impl<'a> Decode<'a> for Nanos {
    fn compatible(of: &DataTypeNode) -> bool {
        matches!(of, DataTypeNode::DateTime64(..))
    }

    fn decode(reader: &mut ValueReader<'a>) -> std::result::Result<Self, Unread> {
        Ok(Self(i64::from_le_bytes(*reader.read_bytes_fixed()?)))
    }
}

type Cells<'a> = Box<dyn Iterator<Item = Result<Cell<'a>>> + 'a>;

/// The values of a column, one after the other.
fn cells<'a>(stored: Stored, column: &'a Column) -> Result<Cells<'a>> {
    fn of<'a, T: Decode<'a>>(column: &'a Column, cell: impl Fn(T) -> Result<Cell<'a>> + 'a) -> Result<Cells<'a>> {
        let values = column.iter::<T>().map_err(fail)?;
        Ok(Box::new(values.map(move |value| cell(value.map_err(fail)?))))
    }
    let text = |text: &'a str| {
        Ok(match text {
            "" => Cell::Absent,
            text => Cell::Text(Cow::Borrowed(text)),
        })
    };
    let time = |nanos: Nanos| Cell::Time(Timestamp::from_nanos(nanos.0));
    match stored {
        Stored::Name | Stored::Word(_) | Stored::Text => of(column, text),
        Stored::Decimal => of(column, |number: Number| Ok(Cell::Decimal(number.0))),
        Stored::MaybeDecimal => of(column, |number: Option<Number>| {
            Ok(number.map_or(Cell::Absent, |number| Cell::Decimal(number.0)))
        }),
        Stored::Time => of(column, move |at| Ok(time(at))),
        Stored::MaybeTime => of(column, move |at: Option<Nanos>| Ok(at.map_or(Cell::Absent, time))),
        Stored::Count => of(column, |count| Ok(Cell::Count(count))),
        Stored::MaybeCount => of(column, |count: Option<u64>| Ok(count.map_or(Cell::Absent, Cell::Count))),
        Stored::Flag => of(column, |flag| Ok(Cell::Flag(flag))),
        Stored::Levels => of(column, |levels: Vec<(Number, Number)>| {
            let levels = levels.into_iter().map(|(price, size)| Level {
                price: price.0,
                size: size.0,
            });
            Ok(Cell::Levels(Cow::Owned(levels.collect())))
        }),
        Stored::Object => of(column, object),
    }
}

fn object<'a>(text: &'a str) -> Result<Cell<'a>> {
    match text {
        "" | "{}" => Ok(Cell::Absent),
        text => {
            let object = serde_json::from_str(text).map_err(fail)?;
            Ok(Cell::Json(Cow::Owned(object)))
        }
    }
}

fn fail(error: impl std::fmt::Display) -> Error {
    Error::decode("clickhouse.decode", error.to_string())
}

/// A row: an event, or why it is none. Then the values that it is ordered by, as text.
pub(super) type Row = (Result<Event>, Vec<String>);

/// The rows of a block whose columns are those of the table's events, then those that rows are ordered by, as text.
pub(super) fn rows(table: &'static Table, block: &Block) -> Result<Vec<Row>> {
    let mut own = Vec::with_capacity(table.columns.len());
    let mut places = Vec::new();
    for (at, column) in block.columns().iter().enumerate() {
        match table.columns.get(at) {
            Some(wanted) => {
                let cells = cells(wanted.stored, column).map_err(|error| error.with("column", wanted.name))?;
                own.push((wanted.name, cells));
            }
            None => places.push(column.iter::<&str>().map_err(fail)?),
        }
    }
    let row = |_| {
        let event = event(table, &mut own);
        let place = places.iter_mut().map(|values| {
            let value = values.next().ok_or_else(|| fail("the block has too few values"))?;
            value.map(str::to_owned).map_err(fail)
        });
        Ok((event, place.collect::<Result<_>>()?))
    };
    (0..block.num_rows()).map(row).collect()
}

/// The next row. All columns go on by one value, also those behind one that cannot be read.
fn event(table: &'static Table, columns: &mut [(&'static str, Cells<'_>)]) -> Result<Event> {
    let mut cells: Vec<Option<Result<Cell<'_>>>> = columns
        .iter_mut()
        .map(|(name, values)| Some(values.next()?.map_err(|error| error.with("column", name))))
        .collect();
    let take = |at: usize| {
        let cell = cells.get_mut(at).and_then(Option::take);
        cell.unwrap_or_else(|| Err(fail("the block has too few values")))
    };
    columns::event(table.event_type, take).map_err(|error| error.with("table", table.name))
}
