//! What the book tells: the side of trades, and that nothing of it is lost.

use super::*;

/// One side of a book by price, kept from the raw JSON of `l2_data`.
type Ladder = BTreeMap<Decimal, Decimal>;

fn apply(book: &mut (Ladder, Ladder), part: &Value) {
    if part["type"] == "snapshot" {
        *book = Default::default();
    }
    let number = |value: &Value| qicore_data::decimal::parse(value.as_str().unwrap()).unwrap();
    for update in list(part, "updates") {
        let side = if update["side"] == "bid" {
            &mut book.0
        } else {
            &mut book.1
        };
        let (price, size) = (number(&update["price_level"]), number(&update["new_quantity"]));
        match size.is_zero() {
            true => side.remove(&price),
            false => side.insert(price, size),
        };
    }
}

/// Trades that print at the best ask or bid of the book as it was before them: a taker who buys pays the ask.
#[test]
fn the_venues_side_is_the_makers_so_ours_is_the_other() {
    let mut books: HashMap<String, (Ladder, Ladder)> = HashMap::new();
    let mut decoder = decoder();
    let (mut with_taker, mut against_taker, mut inside) = (0, 0, 0);
    let mut venue_sides = BTreeSet::new();
    for received in SESSION.iter() {
        let events = all(&mut decoder, [&received.frame]);
        let parts = list(&received.json, "events");
        if received.json["channel"] == "l2_data" {
            for part in parts {
                let product = part["product_id"].as_str().unwrap().replace('-', "/");
                apply(books.entry(product).or_default(), part);
            }
        }
        if received.json["channel"] != "market_trades" || parts[0]["type"] != "update" {
            continue;
        }
        venue_sides.extend(
            list(&parts[0], "trades")
                .iter()
                .map(|trade| trade["side"].as_str().unwrap()),
        );
        for event in &events {
            let Data::Trade(trade) = &event.data else {
                panic!("{event:?}")
            };
            let Some((bids, asks)) = books.get(event.symbol.as_str()) else {
                continue;
            };
            let (bid, ask) = (*bids.keys().next_back().unwrap(), *asks.keys().next().unwrap());
            let bought = match (trade.price >= ask, trade.price <= bid) {
                (true, false) => true,
                (false, true) => false,
                _ => {
                    inside += 1;
                    continue;
                }
            };
            match (trade.side, bought) {
                (Some(Side::Buy), true) | (Some(Side::Sell), false) => with_taker += 1,
                _ => against_taker += 1,
            }
        }
    }
    assert_eq!(venue_sides, BTreeSet::from(["BUY", "SELL"]));
    assert_eq!(
        against_taker, 0,
        "{with_taker} trades have the side that the book tells"
    );
    assert_eq!((with_taker, inside), (50, 6));
}

#[test]
fn the_maintained_book_is_the_venues() {
    let mut raw: HashMap<String, (Ladder, Ladder)> = HashMap::new();
    let mut ours: HashMap<String, qicore_data::OrderBook> = HashMap::new();
    let mut decoder = decoder();
    for received in SESSION.iter().filter(|received| received.json["channel"] == "l2_data") {
        for part in list(&received.json, "events") {
            apply(
                raw.entry(part["product_id"].as_str().unwrap().replace('-', "/"))
                    .or_default(),
                part,
            );
        }
        for event in all(&mut decoder, [&received.frame]) {
            if let Data::Book(book) = &event.data {
                ours.entry(event.symbol.to_string()).or_default().apply(book);
            }
        }
    }
    for (symbol, (bids, asks)) in &raw {
        let ours = &ours[symbol];
        assert!(
            ours.bids()
                .map(|level| (level.price, level.size))
                .eq(bids.iter().rev().map(|(p, s)| (*p, *s)))
        );
        assert!(
            ours.asks()
                .map(|level| (level.price, level.size))
                .eq(asks.iter().map(|(p, s)| (*p, *s)))
        );
        assert!(bids.len() > 5_000 && asks.len() > 5_000);
    }
}
