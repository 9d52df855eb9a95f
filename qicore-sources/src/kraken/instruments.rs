//! The lists of pairs: `/0/public/AssetPairs`, and the `instrument` channel of WebSocket v2.

use qicore_data::decimal::{Decimal, Number};
use qicore_data::{Error, Event, Frame, Instrument, InstrumentKind, Label, NameError, Symbol};

use super::checksum::Scales;
use super::wire::{AssetPair, Members, Response, v2};
use super::{error, excerpt, malformed, names};
use crate::VenueContext;

/// Statuses in which orders can fill. A pair without a status is from before Kraken sent one, when a pair that could
/// not be traded was not listed.
const ACTIVE: [&str; 4] = ["online", "limit_only", "post_only", "reduce_only"];

/// Precisions that a list told.
pub(super) type Precisions = Vec<(Symbol, Scales)>;

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
) -> Result<Precisions, Error> {
    let response: Response<'_, Members<'_, AssetPair<'_>>> =
        serde_json::from_str(body).map_err(|error| malformed("kraken.asset_pairs", error))?;
    if let Some(error) = error::refusal(&response.error) {
        return Err(error);
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
    let precisions = pairs.iter().zip(&out[before..]).map(|((_, pair), event)| {
        let scales = Scales {
            price: pair.pair_decimals,
            size: pair.lot_decimals,
        };
        (event.symbol, scales)
    });
    Ok(precisions.collect())
}

/// Makes an event of each pair of the `instrument` channel, and teaches `context.symbols` its name.
pub(super) fn channel(
    pairs: &[v2::Pair<'_>],
    frame: &Frame,
    context: &VenueContext,
    out: &mut Vec<Event>,
) -> Result<Precisions, Error> {
    let before = out.len();
    let mut precisions = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let (symbol, instrument) = listed(pair)
            .map_err(|error| Error::decode("kraken.instrument", error).with("pair", excerpt(&pair.symbol, 40)))?;
        let scales = Scales {
            price: pair.price_precision,
            size: pair.qty_precision,
        };
        precisions.push((symbol, scales));
        out.push(context.event(frame, symbol, None, instrument));
    }
    let names = pairs.iter().zip(&out[before..]);
    context
        .symbols
        .insert_all(names.map(|(pair, event)| (&*pair.symbol, event.symbol)));
    Ok(precisions)
}

/// A pair of the `instrument` channel, whose names are the usual ones.
fn listed(pair: &v2::Pair<'_>) -> Result<(Symbol, Instrument), String> {
    let named = |error: NameError| error.to_string();
    let (base, quote) = (names::currency(&pair.base), names::currency(&pair.quote));
    let increment = |sent: Option<Number>, decimals| {
        let counted = step(decimals)?;
        Ok::<_, String>(sent.map_or(counted, |sent| sent.0))
    };
    let instrument = Instrument {
        native: Label::new(&pair.symbol).map_err(named)?,
        base: Label::new(base).map_err(named)?,
        quote: Label::new(quote).map_err(named)?,
        kind: kind(base, quote),
        active: ACTIVE.contains(&&*pair.status),
        price_step: Some(increment(pair.price_increment, pair.price_precision)?),
        size_step: Some(increment(pair.qty_increment, pair.qty_precision)?),
    };
    Ok((Symbol::pair(base, quote).map_err(named)?, instrument))
}

fn kind(base: &str, quote: &str) -> InstrumentKind {
    match names::is_fiat(base) && names::is_fiat(quote) {
        true => InstrumentKind::Forex,
        false => InstrumentKind::Spot,
    }
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
    let instrument = Instrument {
        native: Label::new(native).map_err(named)?,
        base: Label::new(base).map_err(named)?,
        quote: Label::new(quote).map_err(named)?,
        kind: kind(base, quote),
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
