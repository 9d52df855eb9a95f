//! The schema: made once, by whoever comes first, and by script.

use std::process::{Command, Stdio};

use qicore_data::{ErrorKind, RetryAdvice};
use qicore_stores::timescale::{Flavour, Mode, Store, VERSION, roles, script};

use crate::servers::{self, Database, Own};

const ALL: [Flavour; 3] = [
    Flavour::Timescale { community: true },
    Flavour::Timescale { community: false },
    Flavour::Plain,
];

/// All that the catalogue says of a schema, the policies included.
async fn catalogue(place: &Database) -> Vec<String> {
    let columns = "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default, collation_name) \
                   FROM information_schema.columns WHERE table_schema = '{}' ORDER BY 1";
    let indexes = "SELECT concat_ws(' ', tablename, indexdef) FROM pg_indexes WHERE schemaname = '{}' ORDER BY 1";
    let versions = "SELECT concat_ws(' ', version, name, flavour, applied_at, obj_description('qicore_schema'::regclass)) \
                    FROM qicore_schema ORDER BY version";
    let jobs = "SELECT concat_ws(' ', job_id, proc_name, hypertable_name, schedule_interval, config) \
                FROM timescaledb_information.jobs WHERE hypertable_schema = '{}' ORDER BY 1";
    let mut all = Vec::new();
    let queries = [columns, indexes, versions].into_iter();
    for sql in queries.chain(is_timescale(place).then_some(jobs)) {
        all.extend(place.values::<String>(&sql.replace("{}", &place.schema)).await);
    }
    all
}

/// The shared TimescaleDB server has a schema for each test.
fn is_timescale(place: &Database) -> bool {
    place.schema != "public"
}

#[tokio::test]
async fn a_schema_is_made_once() {
    for place in servers::both().await {
        let store = place.store();
        let flavour = store.migrate().await.unwrap();
        assert_eq!(flavour == Flavour::Plain, !is_timescale(&place));
        let health = store.health().await.unwrap();
        assert!(
            health.is_ready() && health.schema == Some((VERSION, flavour)),
            "{health:?}"
        );
        let before = catalogue(&place).await;
        assert_eq!(store.migrate().await.unwrap(), flavour);
        assert_eq!(place.store().migrate().await.unwrap(), flavour);
        assert_eq!(catalogue(&place).await, before);
        assert_eq!(place.all().await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_make_it_at_once() {
    for place in servers::both().await {
        let make = |_| {
            let store = place.store();
            tokio::spawn(async move { store.migrate().await })
        };
        let tasks: Vec<_> = (0..6).map(make).collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(place.count("qicore_schema").await, i64::from(VERSION));
        assert!(place.store().health().await.unwrap().is_ready());
    }
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_left_alone() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    place.sql("INSERT INTO qicore_schema VALUES (1000, 'x', 'plain')").await;
    for error in [
        place.store().migrate().await.unwrap_err(),
        place.store().health().await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Schema, RetryAdvice::Never),
            "{error}"
        );
        assert!(error.to_string().contains("version 1000, newer than"), "{error}");
    }
    assert_eq!(place.count("qicore_schema").await, i64::from(VERSION) + 1);
}

#[tokio::test]
async fn a_schema_that_is_behind_is_not_touched_without_leave() {
    for place in servers::both().await {
        let mut tables = place.tables();
        tables.migrate = false;
        let cautious = Store::new(&place.connection(), &tables).unwrap();
        let error = cautious.migrate().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Schema, RetryAdvice::Never),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("migrate = false") && text.contains("qicore schema timescale"),
            "{text}"
        );
        let there = format!(
            "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('{}')",
            place.schema
        );
        assert_eq!(place.value::<i64>(&there).await, 0);
        let flavour = place.store().migrate().await.unwrap();
        assert_eq!(cautious.migrate().await.unwrap(), flavour);
    }
}

#[tokio::test]
async fn the_mode_is_what_was_asked_for() {
    let [plain, timescale] = servers::both().await;
    let with = |place: &Database, mode| Store::new(&place.connection(), &place.tables().mode(mode)).unwrap();
    let error = with(&plain, Mode::Timescale).migrate().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Schema, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.message().contains("no extension timescaledb"), "{error}");
    assert!(error.to_string().contains("mode = \"plain\""), "{error}");
    assert_eq!(with(&plain, Mode::Auto).migrate().await.unwrap(), Flavour::Plain);
    assert_eq!(with(&plain, Mode::Plain).migrate().await.unwrap(), Flavour::Plain);
    assert_eq!(with(&timescale, Mode::Plain).migrate().await.unwrap(), Flavour::Plain);
    assert_eq!(with(&timescale, Mode::Auto).migrate().await.unwrap(), Flavour::Plain);
    // What it was made for it stays, and so says who wants another.
    for place in [plain, timescale] {
        let error = with(&place, Mode::Timescale).migrate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
        assert!(error.message().contains("made for plain"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_want_other_modes_at_once_get_one_schema() {
    for _ in 0..3 {
        let place = servers::timescale().await;
        let make = |mode| {
            let store = Store::new(&place.connection(), &place.tables().mode(mode)).unwrap();
            tokio::spawn(async move { store.migrate().await })
        };
        let [auto, plain] = [make(Mode::Auto), make(Mode::Plain)];
        let made = auto.await.unwrap().unwrap();
        match plain.await.unwrap() {
            Ok(flavour) => assert_eq!((flavour, made), (Flavour::Plain, Flavour::Plain)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
                assert_eq!(made, Flavour::Timescale { community: true });
            }
        }
        assert_eq!(place.store().health().await.unwrap().schema, Some((VERSION, made)));
    }
}

/// Runs a script as a person would.
fn psql(place: &Database, script: &str) {
    use std::io::Write;
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", &place.url])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql");
    psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = psql.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("ERROR"), "{told}");
}

#[tokio::test]
async fn the_printed_script_makes_what_a_sink_makes() {
    for flavour in ALL {
        for place in servers::both().await {
            if flavour != Flavour::Plain && !is_timescale(&place) {
                continue;
            }
            psql(&place, &script(&place.tables(), flavour, 0));
            let mut tables = place.tables();
            tables.migrate = false;
            let store = Store::new(&place.connection(), &tables).unwrap();
            assert_eq!(store.migrate().await.unwrap(), flavour, "{flavour:?}");
            assert!(store.health().await.unwrap().is_ready());
            assert_eq!(place.all().await, []);
        }
    }
}

/// A database of a server of its own, since roles are the server's, with the schema and the roles' script applied.
async fn with_roles(server: &Own) -> Database {
    let place = Database::create(server.url(), "market").await;
    place.store().migrate().await.unwrap();
    psql(&place, &roles(&place.tables()));
    // Again: nothing is there twice.
    psql(&place, &roles(&place.tables()));
    for role in ["writer", "reader", "migrator"] {
        let login = format!("CREATE ROLE {role} LOGIN PASSWORD 'p' IN ROLE qicore_{role}");
        place.sql(&login).await;
    }
    place
}

#[tokio::test]
async fn a_reader_reads_and_a_migrator_migrates() {
    let server = Own::postgres("");
    let place = with_roles(&server).await;
    let reader = place.as_role("reader", "p");
    assert_eq!(reader.all().await, []);
    assert!(reader.store().health().await.unwrap().is_ready());
    for sql in [
        "INSERT INTO qicore_lanes (pipeline, sink, lane, generation) VALUES ('p', 's', 'l', 1)",
        "INSERT INTO qicore_writers (pipeline, sink, generation) VALUES ('p', 's', 1)",
        "DELETE FROM trades",
        "CREATE TABLE x ()",
    ] {
        let error = reader.try_sql(sql).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{error}");
    }
    for sql in [
        "DELETE FROM trades",
        "DROP TABLE ohlcv",
        "UPDATE quotes SET bid = 0",
        "CREATE TABLE x ()",
    ] {
        let error = place.as_role("writer", "p").try_sql(sql).await.unwrap_err().to_string();
        assert!(
            error.contains("permission denied") || error.contains("must be owner"),
            "{error}"
        );
    }
    // As after an older program: a migrator brings back the last step, and the writer finds nothing to do again.
    place
        .sql("DROP VIEW ohlcv_1d; DROP VIEW ohlcv_1h; DELETE FROM qicore_schema WHERE version = 3")
        .await;
    let error = place.as_role("writer", "p").store().migrate().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unauthorized, RetryAdvice::Never),
        "{error}"
    );
    place.as_role("migrator", "p").store().migrate().await.unwrap();
    place.as_role("writer", "p").store().migrate().await.unwrap();
}

/// Building it on a table with rows would keep every writer out for as long as it takes.
#[tokio::test]
async fn the_index_by_venue_changes_with_its_setting_as_long_as_there_are_no_rows() {
    for place in servers::both().await {
        let with = |wanted: bool| {
            let mut tables = place.tables();
            tables.exchange_index = wanted;
            Store::new(&place.connection(), &tables).unwrap()
        };
        let is_there = async || -> bool {
            let sql = format!("SELECT to_regclass('{}.ohlcv_exchange_time') IS NOT NULL", place.schema);
            place.value(&sql).await
        };
        for wanted in [true, false, true, false] {
            with(wanted).migrate().await.unwrap();
            assert_eq!(is_there().await, wanted);
        }
        let bar = "INSERT INTO ohlcv (symbol, exchange, timeframe, timestamp, open, high, low, close, volume, closed, origin, \
                   revision, source, quality) VALUES ('A/B', 'x', '1 minute', now(), 1, 1, 1, 1, 0, true, 'rest', 0, 't', 'high')";
        place.sql(bar).await;
        with(true).migrate().await.unwrap();
        assert!(!is_there().await);
    }
}
