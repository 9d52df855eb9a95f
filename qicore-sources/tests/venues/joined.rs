//! History and live, joined.

use std::time::Duration;

use qicore_data::{Data, Timestamp};
use qicore_localvenue::VenueKind;
use qicore_sources::Channel;

use crate::common::{consecutive, gather, ids, opened, source, venue};

#[tokio::test]
async fn trades_run_on_over_lost_connections() {
    let venue = venue(VenueKind::Binance).start().await.unwrap();
    let mut source = opened(source(&venue, &["BTC/USDT", "ETH/USDT"], &[Channel::Trades])).await;
    let faults = venue.faults();
    let mut rounds = 0;
    let events = gather(&mut source, |events| {
        if events.len() > 100 * (rounds + 1) {
            rounds += 1;
            faults.reset_all();
        }
        rounds > 5
    })
    .await;
    for (symbol, ids) in ids(&events) {
        assert!(consecutive(&ids), "{symbol}: {ids:?}");
        for event in events.iter().filter(|event| event.symbol.as_str() == symbol) {
            let Data::Trade(trade) = &event.data else {
                panic!("{event:?}")
            };
            let id = trade.id.as_ref().unwrap().to_string().parse().unwrap();
            let truth = venue.market().trade(&symbol, id).unwrap();
            assert_eq!(trade.price, truth.price.parse().unwrap());
            assert_eq!(trade.size, truth.size.parse().unwrap());
        }
    }
    assert!(venue.log().violations().is_empty(), "{:?}", venue.log().violations());
}

#[tokio::test]
async fn history_comes_first() {
    let venue = venue(VenueKind::Binance)
        .history(Duration::from_secs(600))
        .start()
        .await
        .unwrap();
    let from = Timestamp::now().saturating_sub(Duration::from_secs(120));
    let source = source(&venue, &["BTC/USDT"], &[Channel::Trades]).from(from);
    let mut source = opened(source).await;
    let events = gather(&mut source, |events| events.len() > 6200).await;
    let ids = &ids(&events)["BTC/USDT"];
    assert!(consecutive(ids));
    assert_eq!(ids[0], venue.market().first_id_from("BTC/USDT", from.nanos()));
}
