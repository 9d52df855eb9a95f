//! CSV files with the columns of [`qicore_data::columns`], in any order.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use csv::{ByteRecord, Reader, ReaderBuilder};
use qicore_data::columns::{self, Cell};
use qicore_data::{Error, ErrorKind, Event, EventType, Result};

use super::rows::{Row, Rows, unreadable};
use crate::replay::lines;

/// Knows whether its reader has come to the end.
struct Watched {
    input: Box<dyn BufRead + Send>,
    ended: bool,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.ended |= read == 0;
        Ok(read)
    }
}

pub(super) struct CsvRows {
    file: Arc<Path>,
    reader: Reader<Watched>,
    event_type: EventType,
    /// Where in a record the columns of the type are.
    places: Vec<Option<usize>>,
    width: usize,
    record: ByteRecord,
    ended: bool,
}

/// The type whose columns these are, if the folder does not tell, and the place of each of its columns.
pub(super) fn layout(told: Option<EventType>, names: &[&str]) -> Result<(EventType, Vec<Option<usize>>)> {
    let place = |name: &str| names.iter().position(|candidate| *candidate == name);
    let fits = |event_type: &&EventType| {
        let columns = columns::columns(**event_type);
        columns.len() == names.len() && columns.iter().all(|column| place(column.name).is_some())
    };
    let Some(event_type) = told.or_else(|| EventType::ALL.iter().find(fits).copied()) else {
        let message = "the columns are of no event type, and no folder type=… tells which";
        return Err(Error::decode("replay.columns", message));
    };
    let columns = columns::columns(event_type);
    if let Some(missing) = columns
        .iter()
        .find(|column| column.required && place(column.name).is_none())
    {
        return Err(Error::decode("replay.columns", "a column is missing").with("column", missing.name));
    }
    Ok((event_type, columns.iter().map(|column| place(column.name)).collect()))
}

fn told(operation: &'static str, file: &Path, error: &csv::Error) -> Error {
    match error.kind() {
        csv::ErrorKind::Io(error) => unreadable(operation, file, error),
        _ => unreadable(operation, file, error),
    }
}

impl CsvRows {
    pub(super) fn open(file: Arc<Path>, event_type: Option<EventType>, read: Arc<AtomicU64>) -> Result<Self> {
        let input = lines::open(&file, u64::MAX, read)?;
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .from_reader(Watched { input, ended: false });
        let header = reader
            .headers()
            .map_err(|error| told("replay.columns", &file, &error))?;
        let names: Vec<_> = header.iter().collect();
        let width = names.len();
        let (event_type, places) = layout(event_type, &names)?;
        Ok(Self {
            file,
            reader,
            event_type,
            places,
            width,
            record: ByteRecord::new(),
            ended: false,
        })
    }

    fn event(&self) -> Result<Event> {
        if self.record.len() != self.width {
            let message = format!("the row has {} fields, the header {}", self.record.len(), self.width);
            return Err(Error::decode("replay.row", message));
        }
        let columns = columns::columns(self.event_type);
        columns::event(self.event_type, |at| {
            let Some(field) = self.places[at].and_then(|place| self.record.get(place)) else {
                return Ok(Cell::Absent);
            };
            let text = std::str::from_utf8(field).map_err(|_| Error::decode("replay.row", "the row is not UTF-8"))?;
            columns[at].kind.parse(text)
        })
    }
}

impl Rows for CsvRows {
    fn next(&mut self) -> Result<Option<Row>> {
        if self.ended {
            return Ok(None);
        }
        let line = self.reader.position().line();
        let why = match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => return Ok(None),
            // Only a record without a line end needs the end of the file to be one. What is cut there may still read as a
            // number, though not the one that was written.
            Ok(true) if self.reader.get_ref().ended => {
                Error::decode("replay.row", "the row is cut: it has no line end")
            }
            Ok(true) => match self.event() {
                Ok(event) => return Ok(Some(Row::Event(event))),
                Err(error) => error,
            },
            Err(error) => {
                self.ended = true;
                match told("replay.row", &self.file, &error) {
                    error if error.kind() == ErrorKind::Io => return Err(error),
                    error => error,
                }
            }
        };
        let raw = self.record.iter().collect::<Vec<_>>().join(&b',');
        Ok(Some(Row::damaged(&self.file, &raw, format_args!("line {line}: {why}"))))
    }
}
