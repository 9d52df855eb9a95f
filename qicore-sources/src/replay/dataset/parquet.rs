//! Parquet files with the columns of [`qicore_data::columns`], in any order.
//!
//! Texts, times and counts may be of any Arrow type that converts without loss; decimals are `Decimal128` of any scale,
//! levels are lists of structs of `price` and `size`.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, ListArray, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, TimeUnit, TimestampNanosecondType, UInt64Type};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use qicore_data::columns::{self, Cell, Kind};
use qicore_data::{Decimal, Error, ErrorKind, Event, EventType, Level, Result, Timestamp};

use super::csv::layout;
use super::rows::{Row, Rows, unreadable};

/// Rows that are decoded at a time.
const BATCH: usize = 4096;

pub(super) struct ParquetRows {
    file: Arc<Path>,
    reader: ParquetRecordBatchReader,
    event_type: EventType,
    /// Where in a batch the columns of the type are.
    places: Vec<Option<usize>>,
    /// The batch being read, as columns of the type; a column that the file does not have is `None`.
    columns: Vec<Option<Values>>,
    row: usize,
    rows: usize,
    progress: FileProgress,
    ended: bool,
}

fn told(error: impl std::fmt::Display) -> Error {
    Error::decode("replay.parquet", error.to_string())
}

impl ParquetRows {
    pub(super) fn open(file: Arc<Path>, event_type: Option<EventType>, read: Arc<AtomicU64>) -> Result<Self> {
        let input = File::open(&file).map_err(|error| Error::io("replay.open", &file, error))?;
        let bytes = input
            .metadata()
            .map_err(|error| Error::io("replay.open", &file, error))?
            .len();
        let builder = ParquetRecordBatchReaderBuilder::try_new(input)
            .map_err(|error| unreadable("replay.parquet", &file, &error))?;
        let names: Vec<_> = builder
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let (event_type, places) = layout(event_type, &names)?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        Ok(Self {
            file,
            reader: builder.with_batch_size(BATCH).build().map_err(told)?,
            event_type,
            places,
            columns: Vec::new(),
            row: 0,
            rows: 0,
            progress: FileProgress {
                read,
                bytes,
                rows,
                seen: 0,
            },
            ended: false,
        })
    }

    /// Decodes the next batch; false at the end.
    fn advance(&mut self) -> Result<bool> {
        let Some(batch) = self.reader.next() else {
            return Ok(false);
        };
        let batch = batch.map_err(|error| unreadable("replay.parquet", &self.file, &error))?;
        let columns = columns::columns(self.event_type).iter().zip(&self.places);
        let columns = columns.map(|(column, place)| match place {
            Some(place) => Values::new(column.kind, batch.column(*place))
                .map(Some)
                .map_err(|error| error.with("column", column.name)),
            None => Ok(None),
        });
        self.columns = columns.collect::<Result<_>>()?;
        (self.row, self.rows) = (0, batch.num_rows());
        self.progress.seen(&batch);
        Ok(true)
    }

    fn event(&self) -> Result<Event> {
        columns::event(self.event_type, |at| match &self.columns[at] {
            Some(values) => values.cell(self.row),
            None => Ok(Cell::Absent),
        })
    }
}

impl Rows for ParquetRows {
    fn next(&mut self) -> Result<Option<Row>> {
        while !self.ended && self.row == self.rows {
            match self.advance() {
                Ok(more) => self.ended = !more,
                Err(error) if error.kind() == ErrorKind::Io => return Err(error),
                Err(error) => {
                    // Where the next batch would begin is not known.
                    self.ended = true;
                    return Ok(Some(Row::damaged(&self.file, b"", error)));
                }
            }
        }
        if self.ended {
            return Ok(None);
        }
        let event = self.event();
        self.row += 1;
        Ok(Some(match event {
            Ok(event) => Row::Event(event),
            Err(error) => Row::damaged(
                &self.file,
                b"",
                format_args!("row {}: {error}", self.progress.number(self.row, self.rows)),
            ),
        }))
    }
}

/// Bytes read, taken to be evenly spread over the rows: the reader does not tell.
struct FileProgress {
    read: Arc<AtomicU64>,
    bytes: u64,
    rows: u64,
    seen: u64,
}

impl FileProgress {
    fn seen(&mut self, batch: &RecordBatch) {
        let upto = |rows: u64| u128::from(self.bytes) * u128::from(rows) / u128::from(self.rows.max(1));
        let seen = self.seen + batch.num_rows() as u64;
        let more = upto(seen) - upto(self.seen);
        self.read.fetch_add(u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
        self.seen = seen;
    }

    /// The number of a batch's row in the file, from 1.
    fn number(&self, row: usize, of: usize) -> u64 {
        self.seen - of as u64 + row as u64
    }
}

/// A column of a batch.
enum Values {
    Text(StringArray),
    Json(StringArray),
    Decimal(Decimals),
    Time(TimestampNanosecondArray),
    Count(UInt64Array),
    Flag(BooleanArray),
    Levels {
        lists: ListArray,
        prices: Decimals,
        sizes: Decimals,
    },
}

struct Decimals(Decimal128Array);

impl Decimals {
    fn new(array: &ArrayRef) -> Result<Self> {
        let decimals = array
            .as_primitive_opt::<Decimal128Type>()
            .filter(|decimals| (0..=28).contains(&decimals.scale()));
        decimals
            .cloned()
            .map(Self)
            .ok_or_else(|| told(format_args!("a {} is no exact decimal", array.data_type())))
    }

    /// The value without trailing zeros: the column's scale says nothing about the digits that were sent.
    fn get(&self, row: usize) -> Result<Decimal> {
        let (mut value, mut scale) = (self.0.value(row), u32::from(self.0.scale().unsigned_abs()));
        while scale > 0 && value.unsigned_abs() >= 1 << 96 && value % 10 == 0 {
            (value, scale) = (value / 10, scale - 1);
        }
        let decimal = Decimal::try_from_i128_with_scale(value, scale);
        decimal
            .map(|value| value.normalize())
            .map_err(|_| told("the decimal needs more than 96 bits"))
    }
}

impl Values {
    fn new(kind: Kind, array: &ArrayRef) -> Result<Self> {
        let cast = |to: &DataType| {
            let options = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(array, to, &options).map_err(told)
        };
        Ok(match kind {
            Kind::Text => Self::Text(cast(&DataType::Utf8)?.as_string().clone()),
            Kind::Json => Self::Json(cast(&DataType::Utf8)?.as_string().clone()),
            Kind::Decimal => Self::Decimal(Decimals::new(array)?),
            Kind::Time => {
                let times = cast(&DataType::Timestamp(TimeUnit::Nanosecond, None))?;
                Self::Time(times.as_primitive::<TimestampNanosecondType>().clone())
            }
            Kind::Count => Self::Count(cast(&DataType::UInt64)?.as_primitive::<UInt64Type>().clone()),
            Kind::Flag => Self::Flag(cast(&DataType::Boolean)?.as_boolean().clone()),
            Kind::Levels => {
                let unfit = || told(format_args!("a {} holds no levels", array.data_type()));
                let lists = array.as_list_opt::<i32>().ok_or_else(unfit)?.clone();
                let levels = lists.values().as_struct_opt().ok_or_else(unfit)?;
                let side = |name| Decimals::new(levels.column_by_name(name).ok_or_else(unfit)?);
                Self::Levels {
                    prices: side("price")?,
                    sizes: side("size")?,
                    lists,
                }
            }
        })
    }

    fn cell(&self, row: usize) -> Result<Cell<'_>> {
        macro_rules! cell {
            ($array:expr, $value:expr) => {
                if $array.is_null(row) { Cell::Absent } else { $value }
            };
        }
        Ok(match self {
            Self::Text(texts) => cell!(texts, Cell::Text(Cow::Borrowed(texts.value(row)))),
            Self::Json(texts) => cell!(texts, Kind::Json.parse(texts.value(row))?),
            Self::Decimal(decimals) => cell!(decimals.0, Cell::Decimal(decimals.get(row)?)),
            Self::Time(times) => cell!(times, Cell::Time(Timestamp::from_nanos(times.value(row)))),
            Self::Count(counts) => cell!(counts, Cell::Count(counts.value(row))),
            Self::Flag(flags) => cell!(flags, Cell::Flag(flags.value(row))),
            Self::Levels { lists, prices, sizes } => cell!(lists, {
                let ends = lists.value_offsets();
                let places = ends[row] as usize..ends[row + 1] as usize;
                let level = |at| Ok(Level::new(prices.get(at)?, sizes.get(at)?));
                Cell::Levels(Cow::Owned(places.map(level).collect::<Result<_>>()?))
            }),
        })
    }
}
