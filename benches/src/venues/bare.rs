//! The least that a client of a feed of trades has to do: a loop around tokio-tungstenite that decodes each frame into a
//! typed struct with serde, and keeps nothing of it.

use std::hint::black_box;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::stretch::{Stretch, Taken};
use super::{Server, Venue};
use crate::Result;

#[derive(Deserialize)]
#[allow(dead_code)]
struct Combined<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: AggTrade<'a>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct AggTrade<'a> {
    #[serde(rename = "e")]
    kind: &'a str,
    #[serde(rename = "E")]
    event_time: i64,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "a")]
    id: u64,
    #[serde(rename = "p")]
    price: &'a str,
    #[serde(rename = "q")]
    quantity: &'a str,
    #[serde(rename = "f")]
    first: u64,
    #[serde(rename = "l")]
    last: u64,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "m")]
    is_buyer_maker: bool,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct MarketTrades<'a> {
    channel: &'a str,
    timestamp: &'a str,
    sequence_num: u64,
    #[serde(borrow)]
    events: Vec<TradesEvent<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct TradesEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    trades: Vec<CoinbaseTrade<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct CoinbaseTrade<'a> {
    trade_id: &'a str,
    product_id: &'a str,
    price: &'a str,
    size: &'a str,
    time: &'a str,
    side: &'a str,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Trades<'a> {
    channel: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: Vec<KrakenTrade<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct KrakenTrade<'a> {
    symbol: &'a str,
    side: &'a str,
    price: f64,
    qty: f64,
    ord_type: &'a str,
    trade_id: u64,
    timestamp: &'a str,
}

/// The trades of a frame; none of one that is something else.
fn trades(venue: Venue, text: &str) -> u64 {
    match venue {
        Venue::Binance => serde_json::from_str::<Combined<'_>>(text).map(|message| {
            black_box(message);
            1
        }),
        Venue::Coinbase => serde_json::from_str::<MarketTrades<'_>>(text).map(|message| {
            let message = black_box(message);
            message.events.iter().map(|event| event.trades.len() as u64).sum()
        }),
        Venue::Kraken => serde_json::from_str::<Trades<'_>>(text).map(|message| black_box(message).data.len() as u64),
    }
    .unwrap_or_default()
}

/// Where the loop connects to, and what it says.
fn subscription(venue: Venue, server: &Server) -> (String, String) {
    let names = |name: &dyn Fn(&str) -> String| -> String {
        let names: Vec<_> = venue
            .symbols()
            .iter()
            .map(|symbol| format!("{:?}", name(symbol)))
            .collect();
        names.join(",")
    };
    let ws = server.ws();
    match venue {
        Venue::Binance => {
            let streams = names(&|symbol| symbol.replace('/', "").to_ascii_lowercase() + "@aggTrade");
            let text = format!(r#"{{"method":"SUBSCRIBE","params":[{streams}],"id":1}}"#);
            (format!("{ws}/stream"), text)
        }
        Venue::Coinbase => {
            let products = names(&|symbol| symbol.replace('/', "-"));
            let text = format!(r#"{{"type":"subscribe","channel":"market_trades","product_ids":[{products}]}}"#);
            (ws.to_owned(), text)
        }
        Venue::Kraken => {
            let symbols = names(&str::to_owned);
            let params = format!(r#"{{"channel":"trade","symbol":[{symbols}],"snapshot":true}}"#);
            let text = format!(r#"{{"method":"subscribe","params":{params},"req_id":1}}"#);
            (format!("{ws}/v2"), text)
        }
    }
}

/// Reads trades of a server until the stretch is over.
pub(super) fn run(runtime: &Runtime, venue: Venue, server: &Server, range: std::ops::Range<u64>) -> Result<Taken> {
    let stretch = Stretch::new(range);
    let (url, subscribe) = subscription(venue, server);
    let counted = std::sync::Arc::clone(&stretch);
    // On a worker of the runtime, where a pipeline's tasks are too.
    let reading = runtime.spawn(async move {
        // As much in a read as the source asks for.
        let config = WebSocketConfig::default().read_buffer_size(256 << 10);
        let (mut socket, _) = connect_async_with_config(url.as_str(), Some(config), true).await?;
        socket.send(Message::text(subscribe)).await?;
        while let Some(message) = socket.next().await {
            if let Message::Text(text) = message?
                && counted.add(trades(venue, &text))
            {
                break;
            }
        }
        Ok::<_, tokio_tungstenite::tungstenite::Error>(())
    });
    runtime.block_on(reading)??;
    stretch.taken()
}
