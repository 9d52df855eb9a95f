//! An exchange's data through CCXT as normalised JSON lines.
//!
//! ```sh
//! cargo run --features ccxt-kraken --example candles -- kraken BTC/USD candles:1m
//! cargo run --features ccxt-kraken --example candles -- kraken BTC/USD trades --from 2026-11-01T00:00:00Z --to 2026-11-01T01:00:00Z
//!
//! # Another base URL, here a local venue's.
//! … --url public=http://127.0.0.1:8080
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

use std::error::Error;
use std::sync::Arc;

use qicore_ccxt::{Ccxt, CcxtConfig};
use qicore_data::{BatchLimit, Content, FromStart, Source, Symbol, settings};

const USAGE: &str = "EXCHANGE SYMBOL DATA[,DATA] [--from TIME] [--to TIME] [--every 10s] [--page ROWS] [--url API=URL]";

fn config(arguments: &[String]) -> Result<CcxtConfig, Box<dyn Error>> {
    let [exchange, symbol, data, options @ ..] = arguments else {
        return Err(USAGE.into());
    };
    let mut config = CcxtConfig::default();
    config.exchange.clone_from(exchange);
    config.symbols = vec![Symbol::new(symbol)?];
    config.data = data.split(',').map(str::parse).collect::<Result<_, _>>()?;
    for option in options.chunks(2) {
        match option {
            [name, value] if name == "--from" => config.from = Some(value.parse()?),
            [name, value] if name == "--to" => config.to = Some(value.parse()?),
            [name, value] if name == "--every" => config.every = settings::duration::parse(value).ok_or(USAGE)?,
            [name, value] if name == "--page" => config.page = Some(value.parse()?),
            [name, value] if name == "--url" => {
                let (api, url) = value.split_once('=').ok_or(USAGE)?;
                config.urls.insert(api.into(), url.into());
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(config)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut source = Ccxt::new(config(&arguments)?);
    source.open(Arc::new(FromStart)).await?;
    while let Some(batch) = source.next_batch(BatchLimit::default()).await? {
        if let Content::Events(events, _) = batch.content {
            for event in events {
                println!("{}", serde_json::to_string(&event)?);
            }
        }
        if let Some(progress) = source.progress() {
            eprintln!(
                "{} of {} {}",
                progress.done,
                progress.total.unwrap_or_default(),
                progress.unit
            );
        }
    }
    Ok(source.close().await?)
}
