//! Blocks are, byte for byte, what the server itself would send.

use std::process::Command;

use qicore_data::{Event, EventType, Timeframe, Timestamp};
use qicore_stores::clickhouse::write::encode;
use qicore_stores::clickhouse::{Decimals, Table, Tables};

use super::{bar, numbered, one_of_each, put, servers};

fn of_table(table: &Table) -> Vec<Event> {
    let mut events: Vec<Event> = one_of_each::one_of_each();
    events.retain(|event| event.event_type() == table.event_type);
    if table.event_type == EventType::Candle {
        // More than 256 symbols, so that the dictionary's numbers take two bytes.
        events = (0..300)
            .map(|at| {
                bar(
                    &format!("S{at:03}/USD"),
                    Timeframe::H1,
                    Timestamp::from_nanos(at * 3_600_000_000_000),
                    100 + at,
                )
            })
            .collect();
    }
    events
}

#[tokio::test]
async fn every_kind_is_as_the_server_sends_it() {
    for decimals in [Decimals::Decimal128, Decimals::Decimal256, Decimals::Float64] {
        let place = servers::clickhouse();
        let tables: Tables = place.tables().decimals(decimals);
        let store = qicore_stores::clickhouse::Store::new(&place.connection(), &tables).unwrap();
        store.migrate().await.unwrap();
        for table in Table::all() {
            let events = of_table(table);
            put(&store, &events).await;
            let columns: Vec<_> = table.column_names().collect();
            // As rows of one block in the key's order, from memory: a part would come with a dictionary of its own.
            let copy = format!(
                "CREATE TABLE {{db}}.copy_{} ENGINE = Memory AS SELECT {} FROM {{db}}.{} ORDER BY symbol",
                table.name,
                columns.join(", "),
                table.name
            );
            place.sql(&copy).await;
            let sql = format!("SELECT * FROM {}.copy_{} FORMAT Native", place.database, table.name);
            let answer = Command::new("curl")
                .args(["-fsS", "--data-binary", &sql, &place.url])
                .output()
                .unwrap();
            assert!(answer.status.success());
            let block = encode(table, decimals, 7, &numbered(&events));
            let ours: Vec<u8> = block.parts.iter().flat_map(|part| part.to_vec()).collect();
            let differ = ours.iter().zip(&answer.stdout).position(|(one, other)| one != other);
            assert!(
                ours == answer.stdout,
                "{} {decimals:?}: {differ:?} of {} {}",
                table.name,
                ours.len(),
                answer.stdout.len()
            );
        }
    }
}
