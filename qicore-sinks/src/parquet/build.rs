//! Rows to Arrow columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, StringBuilder, TimestampNanosecondBuilder, UInt64Builder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use qicore_data::columns::{Cell, Column, Kind};
use qicore_data::{Decimal, Error, ErrorKind, Event, RejectedRow};

use super::decimals::{self, Decimals, Sides};
use super::scaled::Scale;
use crate::files::Row;

const UTC: &str = "UTC";

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
        Kind::Decimal => decimals::data_type(scale),
        Kind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
        Kind::Count => DataType::UInt64,
        Kind::Flag => DataType::Boolean,
        Kind::Levels => DataType::List(decimals::level(scale)),
    }
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
            builders: layout.iter().map(|column| Builder::new(column.kind, 0)).collect(),
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
        let mut events: Vec<&Event> = rows.iter().map(|row| row.event).collect();
        // Nearly always all fit: that is found out by appending them.
        if !self.append_decimals(&events) {
            for builder in &mut self.builders {
                builder.truncate(self.rows);
            }
            events.clear();
            for row in rows {
                match self.unfit(row.event) {
                    None => events.push(row.event),
                    Some(error) => rejected.push(RejectedRow {
                        index: row.index,
                        error,
                    }),
                }
            }
            self.append_decimals(&events);
        }
        for (column, builder) in self.layout.iter().zip(&mut self.builders) {
            self.bytes += builder.append(column, &events);
        }
        self.rows += events.len();
    }

    /// Appends the columns that may refuse a row. False: one did, and they are to be truncated.
    fn append_decimals(&mut self, events: &[&Event]) -> bool {
        let scale = self.scale;
        let mut columns = self.layout.iter().zip(&mut self.builders);
        columns.all(|(column, builder)| match builder {
            Builder::Decimal(decimals) => events.iter().all(|event| match column.cell(event) {
                Cell::Decimal(value) => decimals.push(scale.exact(value)),
                _ => decimals.push_null(),
            }),
            Builder::Levels(levels) => events.iter().all(|event| match column.cell(event) {
                Cell::Levels(side) => levels.push(&side, scale),
                _ => levels.push(&[], scale),
            }),
            _ => true,
        })
    }

    /// Why an event cannot be held exactly.
    #[cold]
    fn unfit(&self, event: &Event) -> Option<Error> {
        let misfit = |value: &Decimal| self.scale.exact(*value).is_none();
        self.layout.iter().find_map(|column| {
            let value = match column.cell(event) {
                Cell::Decimal(value) => Some(value).filter(misfit),
                Cell::Levels(levels) => {
                    let mut values = levels.iter().flat_map(|level| [level.price, level.size]);
                    values.find(misfit)
                }
                _ => None,
            };
            value.map(|value| self.does_not_fit(column, value))
        })
    }

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
        let (room, scale) = (self.rows, self.scale);
        (self.rows, self.bytes) = (0, 0);
        let columns = self.layout.iter().zip(&mut self.builders);
        // The next rows will be about as many; a column that grows step by step is copied as often.
        let finish = |(column, builder): (&Column, &mut Builder)| {
            std::mem::replace(builder, Builder::new(column.kind, room)).finish(scale)
        };
        columns.map(finish).collect()
    }
}

enum Builder {
    /// Also of objects, as JSON.
    Text(StringBuilder),
    Decimal(Decimals),
    Time(TimestampNanosecondBuilder),
    Count(UInt64Builder),
    Flag(BooleanBuilder),
    Levels(Sides),
}

impl Builder {
    /// With room for so many rows.
    fn new(kind: Kind, room: usize) -> Self {
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::with_capacity(room, 8 * room)),
            Kind::Decimal => Self::Decimal(Decimals::new(room)),
            Kind::Time => Self::Time(TimestampNanosecondBuilder::with_capacity(room).with_timezone(UTC)),
            Kind::Count => Self::Count(UInt64Builder::with_capacity(room)),
            Kind::Flag => Self::Flag(BooleanBuilder::with_capacity(room)),
            Kind::Levels => Self::Levels(Sides::default()),
        }
    }

    /// Cuts off what a failed [`Columns::append_decimals`] has added.
    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Decimal(decimals) => decimals.truncate(rows),
            Self::Levels(levels) => levels.truncate(rows),
            _ => {}
        }
    }

    /// Appends a column that refuses nothing. Gives the bytes that the rows take in this column or, where their
    /// decimals were appended before, took there, about.
    fn append(&mut self, column: &Column, events: &[&Event]) -> usize {
        macro_rules! each {
            ($builder:expr, $($cell:pat => $value:expr),+) => {
                for event in events {
                    match column.cell(event) {
                        $($cell => $builder.append_value($value),)+
                        _ => $builder.append_null(),
                    }
                }
            };
        }
        let mut variable = 0;
        match self {
            Self::Text(builder) => {
                let (before, mut digits, mut json) = (builder.values_slice().len(), itoa::Buffer::new(), String::new());
                each!(
                    builder,
                    Cell::Text(text) => &text,
                    Cell::Digits(number) => digits.format(number),
                    Cell::Json(object) => {
                        json.clear();
                        Cell::Json(object).push_text(&mut json);
                        &json
                    }
                );
                variable = builder.values_slice().len() - before;
            }
            Self::Time(builder) => each!(builder, Cell::Time(at) => at.nanos()),
            Self::Count(builder) => each!(builder, Cell::Count(count) => count),
            Self::Flag(builder) => each!(builder, Cell::Flag(flag) => flag),
            Self::Decimal(_) => {}
            Self::Levels(levels) => variable = levels.grown(),
        }
        variable + size_of::<i128>() * events.len()
    }

    fn finish(self, scale: Scale) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Decimal(decimals) => Arc::new(decimals.finish(scale)),
            Self::Time(mut builder) => Arc::new(builder.finish()),
            Self::Count(mut builder) => Arc::new(builder.finish()),
            Self::Flag(mut builder) => Arc::new(builder.finish()),
            Self::Levels(levels) => Arc::new(levels.finish(scale)),
        }
    }
}
