//! The sink keeps the contract of all sinks.

use std::sync::Arc;

use qicore_data::{Data, Sink};
use qicore_stream::testkit::{conformance, trades};

use super::{d, servers, sink};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let place = servers::clickhouse();
    let new = || Arc::new(sink(&place)) as Arc<dyn Sink>;
    conformance::sink(new, async || place.all().await).await;
}

/// The server gathers what many send, and answers each once its rows are in their table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_where_the_server_gathers() {
    let place = servers::clickhouse();
    let new = || Arc::new(sink(&place).async_insert(true)) as Arc<dyn Sink>;
    conformance::sink(new, async || place.all().await).await;
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    place
        .sql("ALTER TABLE {db}.trades ADD CONSTRAINT rule CHECK id != '99'")
        .await;
    let new = || Arc::new(sink(&place).async_insert(true)) as Arc<dyn Sink>;
    conformance::refusals(new, trades(99..100).remove(0), async || place.all().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_what_no_column_holds() {
    let place = servers::clickhouse();
    let mut refused = trades(99..100).remove(0);
    if let Data::Trade(trade) = &mut refused.data {
        trade.price = d("0.0000000000000000001");
    }
    let new = || Arc::new(sink(&place)) as Arc<dyn Sink>;
    conformance::refusals(new, refused, async || place.all().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_what_the_server_refuses() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    place
        .sql("ALTER TABLE {db}.trades ADD CONSTRAINT rule CHECK id != '99'")
        .await;
    let new = || Arc::new(sink(&place)) as Arc<dyn Sink>;
    conformance::refusals(new, trades(99..100).remove(0), async || place.all().await).await;
}
