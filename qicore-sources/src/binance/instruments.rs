//! Instruments of `/exchangeInfo`.

use qicore_data::decimal::Quoted;
use qicore_data::{Decimal, Instrument, InstrumentKind, Label, NameError, Symbol};

use super::wire::{Filter, SymbolInfo};

/// The symbol and description of one instrument.
///
/// A contract has its native name as base, since the currencies alone would make it one with the spot market and with the
/// contracts of other dates.
pub(super) fn instrument(info: &SymbolInfo<'_>) -> Result<(Symbol, Instrument), NameError> {
    let (kind, base) = match info.contract_type.as_deref() {
        None => (InstrumentKind::Spot, &info.base_asset),
        Some("PERPETUAL") => (InstrumentKind::Perpetual, &info.symbol),
        Some(_) => (InstrumentKind::Future, &info.symbol),
    };
    let instrument = Instrument {
        native: Label::new(&info.symbol)?,
        base: Label::new(base)?,
        quote: Label::new(&info.quote_asset)?,
        kind,
        active: info.status == "TRADING",
        price_step: step(info, "PRICE_FILTER", |filter| filter.tick_size),
        size_step: step(info, "LOT_SIZE", |filter| filter.step_size),
    };
    Ok((Symbol::pair(base, &info.quote_asset)?, instrument))
}

/// A filter's step; one of 0 says that the rule is off.
fn step(info: &SymbolInfo<'_>, kind: &str, of: fn(&Filter<'_>) -> Option<Quoted>) -> Option<Decimal> {
    let filter = info.filters.iter().find(|filter| filter.kind == kind)?;
    of(filter).map(|step| step.0).filter(|step| !step.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_stay_apart_from_spot_and_from_each_other() {
        let read = |native: &str, contract: &str| {
            let text = format!(
                r#"{{"symbol":"{native}","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",{contract}"filters":[]}}"#
            );
            let (symbol, instrument) = instrument(&serde_json::from_str(&text).unwrap()).unwrap();
            (symbol.as_str(), instrument.kind)
        };
        assert_eq!(read("BTCUSDT", ""), ("BTC/USDT", InstrumentKind::Spot));
        let perpetual = read("BTCUSDT", r#""contractType":"PERPETUAL","#);
        assert_eq!(perpetual, ("BTCUSDT/USDT", InstrumentKind::Perpetual));
        let quarter = read("BTCUSDT_250328", r#""contractType":"CURRENT_QUARTER","#);
        assert_eq!(quarter, ("BTCUSDT_250328/USDT", InstrumentKind::Future));
    }
}
