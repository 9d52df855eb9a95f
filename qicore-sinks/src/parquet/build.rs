//! Rows to Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, ListArray, StringBuilder, StructArray, TimestampNanosecondBuilder,
    UInt64Builder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use qicore_data::columns::{Cell, Column, Kind};
use qicore_data::{Decimal, Error, ErrorKind, Event, Level, RejectedRow};

use super::scaled::Scale;
use crate::files::Row;

const UTC: &str = "UTC";
/// `Decimal128`'s most digits.
const PRECISION: u8 = 38;

pub(super) fn schema(layout: &[Column], scale: Scale) -> SchemaRef {
    let fields: Vec<_> = layout
        .iter()
        .map(|column| Field::new(column.name, data_type(column.kind, scale), !column.required))
        .collect();
    Arc::new(Schema::new(fields))
}

fn data_type(kind: Kind, scale: Scale) -> DataType {
    match kind {
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Decimal => decimal(scale),
        Kind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
        Kind::Count => DataType::UInt64,
        Kind::Flag => DataType::Boolean,
        Kind::Levels => DataType::List(level_item(scale)),
    }
}

fn decimal(scale: Scale) -> DataType {
    DataType::Decimal128(PRECISION, scale.digits() as i8)
}

fn level_fields(scale: Scale) -> Fields {
    ["price", "size"]
        .map(|name| Field::new(name, decimal(scale), false))
        .to_vec()
        .into()
}

fn level_item(scale: Scale) -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(level_fields(scale)), false))
}

/// The columns of rows that are not yet handed to the writer.
pub(super) struct Columns {
    layout: &'static [Column],
    builders: Vec<Builder>,
    scale: Scale,
    rows: usize,
    bytes: usize,
}

impl Columns {
    pub(super) fn new(layout: &'static [Column], scale: Scale) -> Self {
        Self {
            layout,
            builders: layout.iter().map(|column| Builder::new(column.kind, scale)).collect(),
            scale,
            rows: 0,
            bytes: 0,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the values, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the rows whose decimals all fit, and rejects the others.
    pub(super) fn append(&mut self, rows: &[Row<'_>], rejected: &mut Vec<RejectedRow>) {
        let mut kept: Vec<&Event> = Vec::with_capacity(rows.len());
        for row in rows {
            match self.unfit(row.event) {
                None => kept.push(row.event),
                Some(error) => rejected.push(RejectedRow {
                    index: row.index,
                    error,
                }),
            }
        }
        for (column, builder) in self.layout.iter().zip(&mut self.builders) {
            self.bytes += builder.append(column, &kept, self.scale);
        }
        self.rows += kept.len();
    }

    /// Why an event cannot be held exactly.
    #[inline]
    fn unfit(&self, event: &Event) -> Option<Error> {
        let fits = |value: &Decimal| self.scale.exact(*value).is_some();
        self.layout.iter().find_map(|column| {
            let value = match column.kind {
                Kind::Decimal => match column.cell(event) {
                    Cell::Decimal(value) if !fits(&value) => value,
                    _ => return None,
                },
                Kind::Levels => match column.cell(event) {
                    Cell::Levels(levels) => *levels
                        .iter()
                        .flat_map(|level| [&level.price, &level.size])
                        .find(|value| !fits(value))?,
                    _ => return None,
                },
                _ => return None,
            };
            Some(self.does_not_fit(column, value))
        })
    }

    #[cold]
    fn does_not_fit(&self, column: &Column, value: Decimal) -> Error {
        let digits = self.scale.digits();
        let message = format!("{value} does not fit a decimal of 38 digits, {digits} of them fractional");
        Error::new(ErrorKind::Rejected, "parquet.write", message)
            .with("column", column.name)
            .with("value", value)
            .with("scale", digits)
    }

    /// Takes the columns out.
    pub(super) fn take(&mut self) -> Vec<ArrayRef> {
        (self.rows, self.bytes) = (0, 0);
        let scale = self.scale;
        self.builders.iter_mut().map(|builder| builder.finish(scale)).collect()
    }
}

enum Builder {
    /// Also of objects, as JSON.
    Text(StringBuilder),
    Decimal(Decimal128Builder),
    Time(TimestampNanosecondBuilder),
    Count(UInt64Builder),
    Flag(BooleanBuilder),
    Levels(LevelsBuilder),
}

/// Levels of one side; never absent.
struct LevelsBuilder {
    ends: Vec<i32>,
    prices: Decimal128Builder,
    sizes: Decimal128Builder,
}

impl Builder {
    fn new(kind: Kind, scale: Scale) -> Self {
        let decimals = || Decimal128Builder::new().with_data_type(decimal(scale));
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::new()),
            Kind::Decimal => Self::Decimal(decimals()),
            Kind::Time => Self::Time(TimestampNanosecondBuilder::new().with_timezone(UTC)),
            Kind::Count => Self::Count(UInt64Builder::new()),
            Kind::Flag => Self::Flag(BooleanBuilder::new()),
            Kind::Levels => Self::Levels(LevelsBuilder {
                ends: vec![0],
                prices: decimals(),
                sizes: decimals(),
            }),
        }
    }

    /// Appends a column of rows whose decimals fit; gives the bytes that were added, about.
    fn append(&mut self, column: &Column, events: &[&Event], scale: Scale) -> usize {
        macro_rules! each {
            ($builder:expr, $($cell:pat => $value:expr),+) => {{
                for event in events {
                    match column.cell(event) {
                        $($cell => $builder.append_value($value),)+
                        _ => $builder.append_null(),
                    }
                }
                size_of::<i128>() * events.len()
            }};
        }
        match self {
            Self::Text(builder) => {
                let (before, mut digits, mut json) = (builder.values_slice().len(), itoa::Buffer::new(), String::new());
                let offsets = each!(
                    builder,
                    Cell::Text(text) => &text,
                    Cell::Digits(number) => digits.format(number),
                    Cell::Json(object) => {
                        json.clear();
                        Cell::Json(object).push_text(&mut json);
                        &json
                    }
                );
                offsets + builder.values_slice().len() - before
            }
            Self::Decimal(builder) => {
                each!(builder, Cell::Decimal(value) => scale.exact(value).unwrap_or_default())
            }
            Self::Time(builder) => each!(builder, Cell::Time(at) => at.nanos()),
            Self::Count(builder) => each!(builder, Cell::Count(count) => count),
            Self::Flag(builder) => each!(builder, Cell::Flag(flag) => flag),
            Self::Levels(builder) => events
                .iter()
                .map(|event| match column.cell(event) {
                    Cell::Levels(levels) => builder.append(&levels, scale),
                    _ => builder.append(&[], scale),
                })
                .sum(),
        }
    }

    fn finish(&mut self, scale: Scale) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Count(builder) => Arc::new(builder.finish()),
            Self::Flag(builder) => Arc::new(builder.finish()),
            Self::Levels(builder) => Arc::new(builder.finish(scale)),
        }
    }
}

impl LevelsBuilder {
    fn append(&mut self, levels: &[Level], scale: Scale) -> usize {
        for level in levels {
            self.prices.append_value(scale.exact(level.price).unwrap_or_default());
            self.sizes.append_value(scale.exact(level.size).unwrap_or_default());
        }
        self.ends
            .push(self.ends.last().copied().unwrap_or(0) + levels.len() as i32);
        size_of_val(levels)
    }

    fn finish(&mut self, scale: Scale) -> ListArray {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let sides: Vec<ArrayRef> = vec![Arc::new(self.prices.finish()), Arc::new(self.sizes.finish())];
        let levels = StructArray::new(level_fields(scale), sides, None);
        ListArray::new(
            level_item(scale),
            OffsetBuffer::new(ScalarBuffer::from(ends)),
            Arc::new(levels),
            None,
        )
    }
}
