//! The schema as a script, by configuration, and what becomes of a database.

use qicore_stores::clickhouse::{Connection, Decimals, Store, Tables, VERSION, roles, script};

use super::servers;

fn period(text: &str) -> qicore_stores::Period {
    text.parse().unwrap()
}

#[test]
fn the_script_of_one_server() {
    insta::assert_snapshot!("one_server", script(&Tables::in_database("market"), 0));
}

#[test]
fn the_script_of_a_cluster() {
    let mut tables = Tables::in_database("market")
        .decimals(Decimals::Decimal256)
        .on_cluster("east", true);
    (tables.tick_retention, tables.candle_retention) = (period("90 days"), period("10 years"));
    (tables.cold_after, tables.cold_volume) = (period("1 month"), Some("cold".into()));
    tables.storage_policy = Some("tiered".into());
    tables.replica_path = Some("/clickhouse/tables/{shard}/{database}/{table}".into());
    tables.books = false;
    tables.check().unwrap();
    insta::assert_snapshot!("cluster", script(&tables, 0));
}

#[test]
fn the_script_of_replicas_and_doubles() {
    let mut tables = Tables::in_database("market").decimals(Decimals::Float64);
    (tables.replicated, tables.fsync) = (true, true);
    insta::assert_snapshot!("replicas_and_doubles", script(&tables, 0));
}

#[test]
fn the_roles() {
    insta::assert_snapshot!("roles", roles(&Tables::in_database("market")));
}

/// All statements are SQL to the server, also those that it cannot run here.
#[tokio::test]
async fn every_statement_is_sql() {
    let place = servers::clickhouse();
    let cluster = Tables::default().on_cluster("east", true);
    for script in [script(&cluster, 0), roles(&cluster), roles(&Tables::default())] {
        for statement in script.split(";\n").filter(|statement| statement.contains(' ')) {
            let quoted = statement.replace('\\', "\\\\").replace('\'', "\\'");
            if statement
                .lines()
                .any(|line| !line.starts_with("--") && !line.trim().is_empty())
            {
                let formatted: String = place.value(&format!("SELECT formatQuery('{quoted}')")).await;
                assert!(!formatted.is_empty());
            }
        }
    }
}

#[test]
fn what_is_missing_alone() {
    let rest = script(&Tables::default(), VERSION);
    assert!(
        !rest.contains("CREATE VIEW") && rest.contains("MODIFY SETTING"),
        "{rest}"
    );
}

#[test]
fn names_that_are_no_names() {
    let wrong: [fn(&mut Tables); 9] = [
        |tables| tables.database = "a`; DROP".into(),
        |tables| tables.database = String::new(),
        |tables| tables.cluster = Some("a b".into()),
        |tables| tables.storage_policy = Some("it's".into()),
        |tables| tables.sharded = true,
        |tables| tables.replica_path = Some("/x".into()),
        |tables| (tables.replicated, tables.replica_path) = (true, Some("/x') --".into())),
        |tables| tables.cold_after = "1 day".parse().unwrap(),
        |tables| (tables.cold_after, tables.cold_volume) = ("1 day".parse().unwrap(), Some("cold".into())),
    ];
    for (number, change) in wrong.into_iter().enumerate() {
        let mut tables = Tables::default();
        change(&mut tables);
        assert!(tables.check().is_err(), "{number}");
    }
}

/// The script, run statement by statement, makes what a sink makes.
#[tokio::test]
async fn the_script_makes_what_a_sink_makes() {
    let (by_sink, by_script) = (servers::clickhouse(), servers::clickhouse());
    by_sink.store().migrate().await.unwrap();
    for statement in script(&by_script.tables(), 0)
        .split(";\n\n")
        .filter(|statement| !statement.trim().is_empty())
    {
        by_script.sql(statement).await;
    }
    let made =
        "SELECT replaceAll(create_table_query, '{db}', 'x') FROM system.tables WHERE database = '{db}' ORDER BY name";
    let [one, other]: [Vec<String>; 2] = [by_sink.values(made).await, by_script.values(made).await];
    assert!(one.len() >= 14, "{one:?}");
    assert_eq!(one, other);
    let mut tables = by_script.tables();
    tables.migrate = false;
    Store::new(&by_script.connection(), &tables)
        .unwrap()
        .migrate()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_programs_migrate_at_once() {
    let place = servers::clickhouse();
    let store = place.store();
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    store.check().await.unwrap();
}

#[tokio::test]
async fn settings_that_change_are_made_and_taken_back() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    let ttl = "SELECT countIf(position(create_table_query, ' TTL ') > 0) FROM system.tables WHERE database = '{db}'";
    assert_eq!(place.value::<u64>(ttl).await, 0);
    let mut tables = place.tables();
    (tables.tick_retention, tables.candle_retention, tables.fsync) = (period("90 days"), period("10 years"), true);
    let kept = Store::new(&place.connection(), &tables).unwrap();
    kept.migrate().await.unwrap();
    assert_eq!(place.value::<u64>(ttl).await, 8);
    let safe = "SELECT countIf(position(create_table_query, 'fsync_after_insert = 1') > 0) FROM system.tables WHERE database = '{db}'";
    assert_eq!(place.value::<u64>(safe).await, 11);
    place.store().migrate().await.unwrap();
    assert_eq!(place.value::<u64>(ttl).await, 0);
}

/// Who made the tables was killed before it told with which settings; the next one has others.
#[tokio::test]
async fn settings_that_were_not_told_are_made_all_the_same() {
    let place = servers::clickhouse();
    let mut tables = place.tables();
    tables.books = false;
    Store::new(&place.connection(), &tables)
        .unwrap()
        .migrate()
        .await
        .unwrap();
    place
        .sql("ALTER TABLE {db}.qicore_schema DELETE WHERE version = 0 SETTINGS mutations_sync = 1")
        .await;
    place.store().migrate().await.unwrap();
    assert_eq!(place.physical("books").await, 0);
}

#[tokio::test]
async fn a_database_without_the_schema_is_told() {
    let place = servers::clickhouse();
    let error = place.store().check().await.unwrap_err();
    assert!(error.to_string().contains("no schema of QiCore"), "{error}");
    let nobody = Store::new(&Connection::url("http://127.0.0.1:1"), &place.tables()).unwrap();
    assert!(nobody.check().await.unwrap_err().to_string().contains("refused"));
}
