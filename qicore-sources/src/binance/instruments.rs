//! Instruments of `/exchangeInfo`.

use qicore_data::decimal::Quoted;
use qicore_data::{Decimal, Instrument, InstrumentKind, Label, NameError, Symbol};

use super::wire::{Filter, SymbolInfo};

/// The symbol and description of one instrument.
pub(super) fn instrument(info: &SymbolInfo<'_>) -> Result<(Symbol, Instrument), NameError> {
    let instrument = Instrument {
        native: Label::new(&info.symbol)?,
        base: Label::new(&info.base_asset)?,
        quote: Label::new(&info.quote_asset)?,
        kind: InstrumentKind::Spot,
        active: info.status == "TRADING",
        price_step: step(info, "PRICE_FILTER", |filter| filter.tick_size),
        size_step: step(info, "LOT_SIZE", |filter| filter.step_size),
    };
    Ok((Symbol::pair(&info.base_asset, &info.quote_asset)?, instrument))
}

/// A filter's step; one of 0 says that the rule is off.
fn step(info: &SymbolInfo<'_>, kind: &str, of: fn(&Filter<'_>) -> Option<Quoted>) -> Option<Decimal> {
    let filter = info.filters.iter().find(|filter| filter.kind == kind)?;
    of(filter).map(|step| step.0).filter(|step| !step.is_zero())
}
