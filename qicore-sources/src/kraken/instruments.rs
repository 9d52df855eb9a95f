//! The list of pairs, `/0/public/AssetPairs`.

use qicore_data::decimal::Decimal;
use qicore_data::{Error, Event, Frame, Instrument, InstrumentKind, Label, NameError, Symbol};

use super::wire::{AssetPair, Members, Response};
use super::{excerpt, malformed, names};
use crate::VenueContext;

/// Statuses in which orders can fill. A pair without a status is from before Kraken sent one, when a pair that could
/// not be traded was not listed.
const ACTIVE: [&str; 4] = ["online", "limit_only", "post_only", "reduce_only"];

/// Makes an event of each pair, and teaches `context.symbols` its three native names: the answer's key (`XXBTZUSD`),
/// `altname` (`XBTUSD`) and `wsname` (`XBT/USD`).
///
/// A dark pool (`XXBTZUSD.d`) has no `wsname` and no public data. It is an instrument beside the lit pair, so it must
/// not get that one's symbol: it is `BTC/USD.d`, with base `BTC` and quote `USD`.
pub(super) fn asset_pairs(
    body: &str,
    frame: &Frame,
    context: &VenueContext,
    out: &mut Vec<Event>,
) -> Result<(), Error> {
    let response: Response<'_, Members<'_, AssetPair<'_>>> =
        serde_json::from_str(body).map_err(|error| malformed("kraken.asset_pairs", error))?;
    if let Some(error) = response.error.iter().find(|error| !error.0.starts_with('W')) {
        let message = format!("the venue answers {:?}", excerpt(&error.0, 200));
        return Err(Error::decode("kraken.asset_pairs", message));
    }
    let Members(pairs) = response
        .result
        .ok_or_else(|| Error::decode("kraken.asset_pairs", "the answer has neither an error nor a result"))?;
    let before = out.len();
    for (native, pair) in &pairs {
        let (symbol, instrument) = instrument(&native.0, pair)
            .map_err(|error| Error::decode("kraken.asset_pairs", error).with("pair", excerpt(&native.0, 40)))?;
        out.push(context.event(frame, symbol, None, instrument));
    }
    let names = pairs.iter().zip(&out[before..]).flat_map(|((native, pair), event)| {
        let names = [
            Some(&*native.0),
            Some(&*pair.altname),
            pair.wsname.as_ref().map(|name| &*name.0),
        ];
        names.into_iter().flatten().map(|name| (name, event.symbol))
    });
    context.symbols.insert_all(names);
    Ok(())
}

fn instrument(native: &str, pair: &AssetPair<'_>) -> Result<(Symbol, Instrument), String> {
    let named = |error: NameError| error.to_string();
    let (base, quote, symbol) = match &pair.wsname {
        Some(wsname) => {
            let symbol = names::symbol(&wsname.0).map_err(named)?;
            (symbol.base(), symbol.quote(), symbol)
        }
        None => {
            let (base, quote) = (
                names::asset(&pair.base, &pair.altname),
                names::asset(&pair.quote, &pair.altname),
            );
            let suffix = pair.altname.find('.').map_or("", |at| &pair.altname[at..]);
            (
                base,
                quote,
                Symbol::pair(base, &format!("{quote}{suffix}")).map_err(named)?,
            )
        }
    };
    let kind = if names::is_fiat(base) && names::is_fiat(quote) {
        InstrumentKind::Forex
    } else {
        InstrumentKind::Spot
    };
    let instrument = Instrument {
        native: Label::new(native).map_err(named)?,
        base: Label::new(base).map_err(named)?,
        quote: Label::new(quote).map_err(named)?,
        kind,
        active: pair.status.as_ref().is_none_or(|status| ACTIVE.contains(&&*status.0)),
        price_step: Some(match pair.tick_size {
            Some(step) => step.0,
            None => step(pair.pair_decimals)?,
        }),
        size_step: Some(step(pair.lot_decimals)?),
    };
    Ok((symbol, instrument))
}

/// The step of a number with so many fractional digits.
fn step(decimals: u32) -> Result<Decimal, String> {
    Decimal::try_new(1, decimals).map_err(|_| format!("{decimals} fractional digits are more than a decimal has (28)"))
}
