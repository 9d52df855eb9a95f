//! Staged rows into their table one by one, on the server: which of them does it refuse, and why?

use qicore_data::{Error, Result};
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row as _};

use super::error::{NOT_OF_ROWS, mapped, refused};
use super::tables::Table;

const REFUSED: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS qicore_refused \
     (place bigint, code text, message text, detail text, rule text) ON COMMIT DELETE ROWS; \
     DELETE FROM qicore_refused";

const FOUND: &str = "SELECT place, code, message, detail, rule FROM qicore_refused ORDER BY place";

/// A subtransaction for each row: a refused one is undone and noted, the others stay. Failures that are not for the row
/// are passed on.
pub(super) fn statement(table: &Table, target: &str, stage: &str, columns: &str, on_conflict: &str) -> String {
    let names = table.column_names();
    let values: Vec<_> = names.iter().map(|name| format!("given.{name}")).collect();
    let classes: Vec<_> = NOT_OF_ROWS.iter().map(|class| format!("'{class}'")).collect();
    format!(
        "DO $qicore$ \
         DECLARE given record; first_place bigint; told_message text; told_detail text; told_rule text; \
         BEGIN \
             SELECT min(place) INTO first_place FROM {stage}; \
             FOR given IN SELECT * FROM {stage} ORDER BY place LOOP \
                 BEGIN \
                     INSERT INTO {target} AS old ({columns}) VALUES ({values}){on_conflict}; \
                 EXCEPTION WHEN OTHERS THEN \
                     IF left(SQLSTATE, 2) IN ({classes}) THEN RAISE; END IF; \
                     GET STACKED DIAGNOSTICS told_message = MESSAGE_TEXT, \
                         told_detail = PG_EXCEPTION_DETAIL, told_rule = CONSTRAINT_NAME; \
                     INSERT INTO qicore_refused VALUES \
                         (given.place - first_place, SQLSTATE, told_message, told_detail, told_rule); \
                 END; \
             END LOOP; \
         END $qicore$",
        values = values.join(", "),
        classes = classes.join(", "),
    )
}

/// Runs it. Gives the places of refused rows among those staged, with the server's reasons.
pub(super) async fn run(connection: &mut PgConnection, statement: &str) -> Result<Vec<(usize, Error)>> {
    let fail = |error| mapped("timescale.each", error);
    connection.execute(REFUSED).await.map_err(fail)?;
    connection.execute(statement).await.map_err(fail)?;
    let rows = sqlx::query(FOUND).fetch_all(connection).await.map_err(fail)?;
    let row = |row: &sqlx::postgres::PgRow| {
        let text = |at: usize| row.get::<Option<&str>, _>(at).unwrap_or_default();
        (
            row.get::<i64, _>(0) as usize,
            refused(text(1), text(2), text(3), text(4)),
        )
    };
    Ok(rows.iter().map(row).collect())
}
