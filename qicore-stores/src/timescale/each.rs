//! Staged rows into their table, but for those that the server refuses: which are they, and why?

use qicore_data::{Error, Result};
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row as _};

use super::error::{NOT_OF_ROWS, mapped, refused};

const REFUSED: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS qicore_refused \
     (place bigint, code text, message text, detail text, rule text) ON COMMIT DELETE ROWS; \
     DELETE FROM qicore_refused";

const FOUND: &str = "SELECT place, code, message, detail, rule FROM qicore_refused ORDER BY place";

/// Takes runs of rows, each in a subtransaction: shorter ones where one of a run is refused, down to the row itself,
/// which is noted; longer ones where all are taken. Few refused rows cost few subtransactions, and many of them not much
/// more than one each. Failures that are not for a row are passed on.
///
/// `insert` is the statement without its rows, `taken` their columns, and `on_conflict` what follows them.
pub(super) fn statement(insert: &str, taken: &str, stage: &str, on_conflict: &str) -> String {
    let classes: Vec<_> = NOT_OF_ROWS.iter().map(|class| format!("'{class}'")).collect();
    format!(
        "CREATE INDEX IF NOT EXISTS {index} ON {stage} (place); \
         DO $qicore$ \
         DECLARE v_first bigint; v_last bigint; v_reached bigint; v_size bigint; \
             v_message text; v_detail text; v_rule text; \
         BEGIN \
             SELECT min(place), max(place) INTO v_first, v_last FROM {stage}; \
             v_reached := v_first; v_size := v_last - v_first + 1; \
             WHILE v_reached <= v_last LOOP \
                 BEGIN \
                     {insert} SELECT {taken} FROM {stage} \
                         WHERE place >= v_reached AND place < v_reached + v_size ORDER BY place{on_conflict}; \
                     v_reached := v_reached + v_size; v_size := v_size * 2; \
                 EXCEPTION WHEN ASSERT_FAILURE OR OTHERS THEN \
                     IF left(SQLSTATE, 2) IN ({classes}) THEN RAISE; END IF; \
                     IF v_size > 1 THEN \
                         v_size := greatest(v_size / 4, 1); \
                     ELSE \
                         GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT, \
                             v_detail = PG_EXCEPTION_DETAIL, v_rule = CONSTRAINT_NAME; \
                         INSERT INTO qicore_refused VALUES \
                             (v_reached - v_first, SQLSTATE, v_message, v_detail, v_rule); \
                         v_reached := v_reached + 1; \
                     END IF; \
                 END; \
             END LOOP; \
         END $qicore$",
        index = stage.replacen("stage", "place", 1),
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
