//! The sink keeps the contract of all sinks.

use std::sync::Arc;

use qicore_data::{Data, Sink};
use qicore_sinks::Timescale;
use qicore_stream::testkit::{conformance, trades};

use super::servers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    for place in servers::both().await {
        let new = || Arc::new(Timescale::new(place.connection()).tables(place.tables())) as Arc<dyn Sink>;
        conformance::sink(new, async || place.all().await).await;
    }
    for place in servers::both().await {
        let mut refused = trades(99..100).remove(0);
        if let Data::Trade(trade) = &mut refused.data {
            // No text of PostgreSQL's holds it.
            trade.id = Some(qicore_data::TradeId::new("9\u{0}9"));
        }
        let new = || Arc::new(Timescale::new(place.connection()).tables(place.tables())) as Arc<dyn Sink>;
        conformance::refusals(new, refused, async || place.all().await).await;
    }
    for place in servers::both().await {
        place.store().migrate().await.unwrap();
        // Nothing is wrong with the row but that the database refuses it.
        let rule = "CREATE FUNCTION rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        IF NEW.id = '99' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END IF;
                        RETURN NEW;
                    END $$;
                    CREATE TRIGGER rule BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION rule()";
        place.sql(rule).await;
        let new = || Arc::new(Timescale::new(place.connection()).tables(place.tables())) as Arc<dyn Sink>;
        conformance::refusals(new, trades(99..100).remove(0), async || place.all().await).await;
    }
}
