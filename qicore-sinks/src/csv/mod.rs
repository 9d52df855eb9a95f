//! CSV (RFC 4180): the flat [columns](qicore_data::columns), with a header row.

use std::path::PathBuf;
use std::sync::Arc;

use qicore_data::columns::{Cell, Column, Kind, columns};
use qicore_data::{Error, ErrorKind, EventType, Mistakes, RejectedRow, Result, Settings, Sink};

use crate::files::{Encoder, FileSink, FilesConfig, Format, Row, defect};

/// Writes CSV in partitioned files: a header row, then the [columns](qicore_data::columns) of the event type. Values
/// are written as in the normalised JSON, levels and objects as JSON; an absent value is an empty field. See
/// [`files`](crate::files) for layout and guarantees.
///
/// A row with an empty text where the text may be absent is rejected, since CSV cannot tell the two.
///
/// ```
/// use qicore_sinks::Csv;
/// let sink = Csv::new("out").rotate_bytes(64 << 20);
/// ```
pub type Csv = FileSink<CommaSeparated>;

/// The format of [`Csv`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommaSeparated;

impl Csv {
    /// Files below `path`, with the default settings.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::from_config(FilesConfig::new(path))
    }

    /// From its configuration.
    pub fn from_config(config: FilesConfig) -> Self {
        Self::with_format(config, CommaSeparated)
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Sink>, Mistakes> {
    let config: FilesConfig = settings.read()?;
    config.check().map_err(|message| settings.mistake(message))?;
    Ok(Arc::new(Csv::from_config(config)))
}

impl Format for CommaSeparated {
    const NAME: &'static str = "csv";
    type Encoder = Records;

    fn encoder(&self, event_type: EventType) -> Result<Records> {
        Ok(Records {
            columns: columns(event_type),
            headed: false,
            text: String::new(),
        })
    }
}

/// Writes records.
#[derive(Debug)]
pub struct Records {
    columns: &'static [Column],
    headed: bool,
    text: String,
}

impl Records {
    /// The column whose empty text would be read back as absent.
    fn ambiguous(&self, row: &Row<'_>) -> Option<&'static Column> {
        let optional_texts = self
            .columns
            .iter()
            .filter(|column| column.kind == Kind::Text && !column.required);
        optional_texts
            .into_iter()
            .find(|column| matches!(column.cell(row.event), Cell::Text(text) if text.is_empty()))
    }

    fn record(&mut self, row: &Row<'_>, writer: &mut csv::Writer<&mut Vec<u8>>) -> csv::Result<()> {
        for column in self.columns {
            match column.cell(row.event) {
                Cell::Text(text) => writer.write_field(text.as_bytes())?,
                cell => {
                    self.text.clear();
                    cell.push_text(&mut self.text);
                    writer.write_field(&self.text)?;
                }
            }
        }
        writer.write_record(None::<&[u8]>)
    }
}

impl Encoder for Records {
    fn append(&mut self, rows: &[Row<'_>], out: &mut Vec<u8>, rejected: &mut Vec<RejectedRow>) -> Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        if !self.headed {
            let names = self.columns.iter().map(|column| column.name);
            writer.write_record(names).map_err(|error| defect("csv.write", error))?;
            self.headed = true;
        }
        for row in rows {
            if let Some(column) = self.ambiguous(row) {
                let message = "CSV cannot tell an empty text from an absent one";
                let error = Error::new(ErrorKind::Rejected, "csv.write", message).with("column", column.name);
                rejected.push(RejectedRow {
                    index: row.index,
                    error,
                });
                continue;
            }
            self.record(row, &mut writer)
                .map_err(|error| defect("csv.write", error))?;
        }
        writer.flush().map_err(|error| defect("csv.write", error))
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}
