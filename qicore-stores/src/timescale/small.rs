//! A few rows and the position of their lane in one statement: one round trip, where a transaction with a copy has six.

use qicore_data::columns::{self, Cell};
use qicore_data::{Error, ErrorKind, Event};
use sqlx::Row as _;

use super::Store;
use super::error::Failure;
use super::lanes::{Moved, Step};
use super::select::{interval_text, split};
use super::tables::{Stored, Table};

/// The statement for a table. The rows come as one JSON text, which the server makes columns of.
pub(super) fn statement(schema: &str, table: &Table, target: &str, columns: &str, on_conflict: &str) -> String {
    format!(
        "WITH moved AS ({step} RETURNING 1), written AS ( \
             INSERT INTO {target} AS old ({columns}) \
             SELECT {columns} FROM json_to_recordset(CAST($11 AS json)) AS new ({definitions}) \
             WHERE EXISTS (SELECT FROM moved){on_conflict} \
         ) SELECT count(*) FROM moved",
        step = Step::statement(schema),
        definitions = table.definitions().join(", "),
    )
}

impl Store {
    /// Writes a few rows of one table, each key once, and moves their lane on, if it is still where the step begins.
    ///
    /// # Errors
    /// As those of a [transaction](super::write::Transaction) that does the same; nothing is done then.
    pub async fn put(&self, step: Step<'_>, table: &Table, rows: &[&Event]) -> Result<Moved, Failure> {
        let json = json(table, rows).map_err(Failure::Row)?;
        let mut lease = self.lease("timescale.put").await.map_err(Failure::Other)?;
        let query = step.bind(sqlx::query(&self.statements(table).small));
        let query = query.map_err(Failure::Other)?.bind(json);
        let row = match query.fetch_one(&mut *lease).await {
            Ok(row) => row,
            Err(error) => {
                let failure = Failure::of("timescale.put", error);
                if !matches!(failure, Failure::Other(_)) {
                    // Undone as a whole, and in step with the server.
                    lease.give_back();
                }
                return Err(failure);
            }
        };
        let moved = match row.get::<i64, _>(0) {
            1 => Moved::Now,
            _ => {
                let found = step.found(&mut lease, &self.tables.schema).await;
                found.map_err(Failure::Other)?
            }
        };
        lease.give_back();
        Ok(moved)
    }
}

/// Rows as a JSON array of objects. Numbers and times are texts, which the server reads exactly.
fn json(table: &Table, rows: &[&Event]) -> qicore_data::Result<String> {
    let layout = columns::columns(table.event_type);
    let mut json = String::with_capacity(64 + rows.len() * 512);
    let mut text = String::new();
    for (at, event) in rows.iter().enumerate() {
        json.push(if at == 0 { '[' } else { ',' });
        let mut separator = '{';
        for column in &table.columns {
            let value = match (column.stored, layout[column.cell].cell(event)) {
                (Stored::Object, Cell::Absent) => Value::Json("{}"),
                (_, Cell::Absent) => continue,
                (Stored::Interval, Cell::Text(name)) => {
                    text = name.parse().map(interval_text).unwrap_or_default();
                    Value::Text(&text)
                }
                (stored @ (Stored::Time | Stored::WholeTime), Cell::Time(time)) => {
                    let (whole, beyond) = split(time);
                    if stored == Stored::WholeTime && beyond != 0 {
                        // The way by a copy tells it with its reason.
                        return Err(Error::new(
                            ErrorKind::Rejected,
                            "timescale.put",
                            "not whole microseconds",
                        ));
                    }
                    if stored == Stored::Time {
                        json.push_str(&format!("{separator}\"{}_ns\":{beyond}", column.name));
                        separator = ',';
                    }
                    text = whole;
                    Value::Text(&text)
                }
                (stored, cell) => {
                    text.clear();
                    cell.push_text(&mut text);
                    match stored {
                        Stored::Levels | Stored::Object => Value::Json(&text),
                        _ => Value::Text(&text),
                    }
                }
            };
            json.push_str(&format!("{separator}\"{}\":", column.name));
            separator = ',';
            match value {
                Value::Json(value) => json.push_str(value),
                // Writing to memory cannot fail.
                Value::Text(value) => json.push_str(&serde_json::to_string(value).unwrap_or_default()),
            }
        }
        json.push('}');
    }
    json.push(']');
    Ok(json)
}

enum Value<'a> {
    Text(&'a str),
    Json(&'a str),
}
