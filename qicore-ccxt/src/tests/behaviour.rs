use super::*;
use qicore_data::{Data, ErrorKind, FromStart, Quality, Registry, RetryAdvice, Settings};
use qicore_stream::testkit::conformance;

fn market() -> Fake {
    Fake {
        bars: (0..60).map(bar).collect(),
        // Three trades a millisecond, with ids.
        trades: (0..300).map(|n| trade(n / 3 * 7, Some(&format!("t{n}")))).collect(),
        page: 25,
        ..Fake::default()
    }
}

#[tokio::test]
async fn keeps_the_contract_of_a_finite_source() {
    let market = market();
    conformance::source(|| Box::new(market.source(history(&["candles:1m", "trades"], 50)))).await;
}

#[tokio::test]
async fn history_is_what_lies_between_and_ends() {
    let all = events(
        market().source(history(&["candles:1m", "trades"], 50)),
        Arc::new(FromStart),
    )
    .await
    .unwrap();
    let candles = all.iter().filter(|event| matches!(event.data, Data::Candle(_)));
    let opens: Vec<_> = candles
        .map(|event| (event.timestamp.millis() - START) / MINUTE)
        .collect();
    assert!(opens.iter().copied().eq(0..50), "{opens:?}");
    let ids = all.iter().filter_map(|event| match &event.data {
        Data::Trade(trade) => Some(trade.id.as_ref()?.to_string()),
        _ => None,
    });
    assert!(ids.eq((0..300).map(|n| format!("t{n}"))));
    for event in &all {
        let reasons = &event.enrichment.as_ref().unwrap().reasons;
        assert_eq!((event.quality, reasons[0].as_str()), (Quality::Medium, crate::FLOAT));
        assert_eq!((event.exchange.as_str(), event.source.as_str()), ("fake", "ccxt"));
    }
}

#[tokio::test]
async fn a_hole_does_not_end_a_history() {
    let mut market = market();
    // Two hours without anything, on an exchange that answers for an hour.
    (market.bars, market.window) = ([0, 1, 130, 131].map(bar).into(), Some(60 * MINUTE));
    market.trades = [0, 5, 125 * MINUTE].map(|at| trade(at, Some(&at.to_string()))).into();
    let mut config = history(&["candles:1m", "trades"], 180);
    config.page = Some(50);
    let all = events(market.source(config), Arc::new(FromStart)).await.unwrap();
    assert_eq!(all.len(), 4 + 3, "{all:?}");
}

#[tokio::test]
async fn errors_have_their_kinds() {
    let cases = [
        (
            "load_markets",
            "NetworkError",
            ErrorKind::Unavailable,
            RetryAdvice::Backoff,
        ),
        (
            "fetch_trades",
            "RateLimitExceeded",
            ErrorKind::RateLimited,
            RetryAdvice::Exhausted,
        ),
        (
            "fetch_trades",
            "AuthenticationError",
            ErrorKind::Unauthorized,
            RetryAdvice::Never,
        ),
    ];
    for (method, class, kind, retry) in cases {
        let market = Fake {
            failing: Some((method, class)),
            ..market()
        };
        let error = events(market.source(history(&["trades"], 1)), Arc::new(FromStart))
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{error}");
    }
    let mut config = history(&["trades"], 1);
    config.symbols = vec![Symbol::new("NO/SUCH").unwrap()];
    let error = events(market().source(config), Arc::new(FromStart)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.context().contains(&("symbol", "NO/SUCH".into())), "{error}");
}

#[tokio::test]
async fn what_fails_for_now_is_asked_again() {
    let mut market = market();
    market.failing = Some(("fetch_trades", "NetworkError"));
    market.failures = 2;
    let mut config = history(&["trades"], 50);
    config.retry = qicore_data::RetryPolicy::default()
        .retries(2)
        .pauses(std::time::Duration::from_millis(1), std::time::Duration::from_millis(2));
    let all = events(market.source(config.clone()), Arc::new(FromStart))
        .await
        .unwrap();
    assert_eq!(all.len(), 300);
    market.failures = 0;
    let error = events(market.source(config), Arc::new(FromStart)).await.unwrap_err();
    assert_eq!(error.retry(), RetryAdvice::Exhausted, "{error}");
}

#[tokio::test]
async fn after_an_error_it_is_opened_anew() {
    let mut market = market();
    market.failing = Some(("fetch_trades", "NetworkError"));
    let mut source = market.source(history(&["trades"], 1));
    source.open(Arc::new(FromStart)).await.unwrap();
    source.next_batch(BatchLimit::default()).await.unwrap_err();
    // Not the end of it.
    source.next_batch(BatchLimit::default()).await.unwrap_err();
    source.open(Arc::new(FromStart)).await.unwrap();
}

#[tokio::test]
async fn tickers_are_asked_again_and_again() {
    let mut market = market();
    market.ticker = json!({ "last": 1.5, "bid": 1.25 });
    let mut config = config(&["tickers"]);
    config.every = std::time::Duration::from_millis(100);
    let mut source = market.source(config);
    source.open(Arc::new(FromStart)).await.unwrap();
    let mut offsets = Vec::new();
    for _ in 0..3 {
        let batch = source.next_batch(BatchLimit::default()).await.unwrap().unwrap();
        offsets.push(batch.position.offset);
    }
    assert!(offsets.is_sorted_by(|one, other| one < other), "{offsets:?}");
    assert_eq!(market.calls.lock().unwrap()[0], "load_markets");
}

#[test]
fn a_registry_builds_it_and_names_the_missing_feature() {
    let registry = Registry::default().sources(crate::SOURCES);
    let text = "type = \"ccxt\"\nsymbols = [\"BTC/USD\"]\ndata = [\"trades\"]\nexchange = \"nosuch\"";
    let told = registry
        .source(Settings::parse(text).unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(told.starts_with("line 4:") && told.contains("ccxt-nosuch"), "{told}");
    #[cfg(feature = "ccxt-kraken")]
    registry
        .source(Settings::parse(&text.replace("nosuch", "kraken")).unwrap())
        .unwrap();
}
