//! Products and their names.

use qicore_data::{Instrument, InstrumentKind, Label, NameError, Symbol};

use super::wire::Product;

/// The symbol of a spot product's id: `BTC-USD` is BTC/USD. The ids of futures have more parts (`BIT-28JUL23-CDE`), and
/// only a product list tells what they are quoted in.
pub(super) fn spot_symbol(id: &str) -> Option<Symbol> {
    let (base, quote) = id.split_once('-')?;
    let plain = !quote.contains('-') && !id.contains('/');
    plain.then(|| Symbol::pair(base, quote).ok())?
}

/// The symbol and description of one product.
///
/// A future has its whole id as base, since the currencies alone would make it one with the spot product.
pub(super) fn instrument(product: &Product<'_>) -> Result<(Symbol, Instrument), NameError> {
    let kind = kind(product);
    let symbol = match spot_symbol(&product.id) {
        Some(symbol) if kind == InstrumentKind::Spot => symbol,
        _ => Symbol::pair(&product.id, product.quote_currency.as_deref().unwrap_or_default())?,
    };
    let instrument = Instrument {
        native: Label::new(&product.id)?,
        base: Label::new(symbol.base())?,
        quote: Label::new(symbol.quote())?,
        kind,
        active: product.status.as_deref() == Some("online")
            && !product.is_disabled.unwrap_or_default()
            && !product.trading_disabled.unwrap_or_default(),
        price_step: product.price_increment.0.or(product.quote_increment.0),
        size_step: product.base_increment.0,
    };
    Ok((symbol, instrument))
}

/// What has no type, or one unknown here, is spot: the type came with the futures.
fn kind(product: &Product<'_>) -> InstrumentKind {
    let expiry = product
        .future_product_details
        .as_ref()
        .and_then(|details| details.contract_expiry_type.as_deref());
    match (product.product_type.as_deref(), expiry) {
        (Some("FUTURE"), Some("PERPETUAL")) => InstrumentKind::Perpetual,
        (Some("FUTURE"), _) => InstrumentKind::Future,
        _ => InstrumentKind::Spot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_spot_products_are_pairs() {
        assert_eq!(spot_symbol("BTC-USD").unwrap().as_str(), "BTC/USD");
        for id in ["BTC", "BTC-", "-USD", "BIT-28JUL23-CDE", "BTC-PERP-INTX", "A/B-C", ""] {
            assert_eq!(spot_symbol(id), None, "{id}");
        }
    }

    #[test]
    fn futures_stay_apart_from_spot() {
        let text = r#"{"product_id":"BTC-PERP-INTX","product_type":"FUTURE","quote_currency_id":"USDC","status":"online",
            "base_increment":"0.0001","quote_increment":"0.1","price_increment":"0.1","trading_disabled":true,
            "future_product_details":{"contract_expiry_type":"PERPETUAL"}}"#;
        let (symbol, perpetual) = instrument(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(symbol.as_str(), "BTC-PERP-INTX/USDC");
        assert_eq!((perpetual.kind, perpetual.active), (InstrumentKind::Perpetual, false));
    }
}
