//! What is known of a name: looked up once, remembered until the table changes.

use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::hash::BuildHasher;
use std::sync::Arc;

use qicore_data::{Decimal, Enrichment, Event, Exchange, Instruments, Label, Listing, NameError, Symbol, Timestamp};

use rustc_hash::FxSeededState;

use super::config::EnrichConfig;
use super::rules::{Rule, Rules, Verdicts};

/// Names as they come, and what they are to be.
#[derive(Debug, Clone)]
pub(super) struct Names {
    config: Arc<EnrichConfig>,
    /// Asked for each event: the default hasher took a quarter of the time. With a seed, since names come from outside.
    known: HashMap<(Exchange, Symbol), Known, FxSeededState>,
}

/// What the events of one name have in common.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The table's generation when it was looked up.
    generation: u64,
    /// The canonical symbol.
    pub(super) symbol: Symbol,
    /// The rules that market data of this name breaks, whatever it says.
    pub(super) broken: Rules,
    /// Above zero, if there is one.
    pub(super) price_step: Option<Decimal>,
    /// Without time and reasons.
    about: Enrichment,
    /// The enrichment made last. Within a batch, the next event of this name mostly has the same.
    last: Option<(Option<Timestamp>, Rules, Arc<Enrichment>)>,
}

impl Names {
    pub(super) fn new(config: EnrichConfig) -> Self {
        let seed = RandomState::new().hash_one("enrich");
        Self {
            config: Arc::new(config),
            known: HashMap::with_hasher(FxSeededState::with_seed(seed as usize)),
        }
    }

    pub(super) fn table(&self) -> Option<&str> {
        self.config.instruments.as_deref()
    }

    /// What is known of an event's name, as of this generation of the table.
    #[inline]
    pub(super) fn of(&mut self, event: &Event, table: Option<(&Instruments, u64)>) -> Result<&mut Known, NameError> {
        let generation = table.map_or(0, |(_, generation)| generation);
        match self.known.entry((event.exchange, event.symbol)) {
            Entry::Occupied(known) if known.get().generation == generation => Ok(known.into_mut()),
            entry => {
                let known = look_up(&self.config, event, table)?;
                Ok(entry.insert_entry(known).into_mut())
            }
        }
    }
}

#[cold]
fn look_up(config: &EnrichConfig, event: &Event, table: Option<(&Instruments, u64)>) -> Result<Known, NameError> {
    let canonical = canonical(config, event.symbol)?;
    let listing = table.and_then(|(table, _)| find(table, event, canonical));
    let symbol = match &listing {
        Some(listing) => self::canonical(config, listing.symbol)?,
        None => canonical,
    };
    let instrument = listing.as_ref().map(|listing| &listing.instrument);
    let mut broken = Rules::default();
    broken.add(Rule::UnknownInstrument, table.is_some() && instrument.is_none());
    broken.add(
        Rule::InactiveInstrument,
        instrument.is_some_and(|instrument| !instrument.active),
    );
    let stands_for = match config.quote_currencies.is_empty() {
        true => None,
        false => Some(Label::new(
            config
                .quote_currencies
                .get(symbol.quote())
                .map_or(symbol.quote(), String::as_str),
        )?),
    };
    let currency = |label: Label| Label::new(alias(config, label.as_str()));
    let price_step = instrument.and_then(|instrument| instrument.price_step);
    Ok(Known {
        generation: table.map_or(0, |(_, generation)| generation),
        symbol,
        broken,
        price_step: price_step.filter(|step| step.is_sign_positive() && !step.is_zero()),
        about: Enrichment {
            native: instrument.map(|instrument| instrument.native),
            base: instrument.map(|instrument| currency(instrument.base)).transpose()?,
            quote: instrument.map(|instrument| currency(instrument.quote)).transpose()?,
            quote_currency: stands_for,
            kind: instrument.map(|instrument| instrument.kind),
            active: instrument.map(|instrument| instrument.active),
            price_step,
            size_step: instrument.and_then(|instrument| instrument.size_step),
            ..Enrichment::default()
        },
        last: None,
    })
}

/// A canonical name comes first: what one venue calls its own may be another instrument's canonical name.
fn find(table: &Instruments, event: &Event, canonical: Symbol) -> Option<Arc<Listing>> {
    let (exchange, symbol) = (event.exchange, event.symbol);
    let by_symbol = |symbol| table.by_symbol(exchange, symbol);
    // Interned already, as a symbol.
    let by_native = || table.by_native(exchange, Label::new(symbol.as_str()).ok()?);
    by_symbol(canonical).or_else(|| by_symbol(symbol)).or_else(by_native)
}

fn alias<'a>(config: &'a EnrichConfig, currency: &'a str) -> &'a str {
    config.aliases.get(currency).map_or(currency, String::as_str)
}

fn canonical(config: &EnrichConfig, symbol: Symbol) -> Result<Symbol, NameError> {
    Symbol::pair(alias(config, symbol.base()), alias(config, symbol.quote()))
}

impl Known {
    /// Adds to an event what is known of it, the time, and the names of the rules for which it was marked.
    #[inline]
    pub(super) fn enrich(&mut self, event: &mut Event, now: Option<Timestamp>, marks: Rules, verdicts: &Verdicts) {
        event.symbol = self.symbol;
        if event.enrichment.is_some() {
            return self.add(event, now, marks, verdicts);
        }
        if let Some((at, of, made)) = &self.last
            && (*at, *of) == (now, marks)
        {
            event.enrichment = Some(Arc::clone(made));
            return;
        }
        self.make(event, now, marks, verdicts);
    }

    fn make(&mut self, event: &mut Event, now: Option<Timestamp>, marks: Rules, verdicts: &Verdicts) {
        let made = Enrichment {
            validated_at: now,
            reasons: verdicts.names(marks).collect(),
            ..self.about.clone()
        };
        if !made.is_empty() {
            let made = Arc::new(made);
            self.last = Some((now, marks, Arc::clone(&made)));
            event.enrichment = Some(made);
        }
    }

    /// An event that `validate` has marked, or another pipeline enriched: its reasons stay, since its quality does; the rest
    /// stays where nothing newer is known.
    fn add(&self, event: &mut Event, now: Option<Timestamp>, marks: Rules, verdicts: &Verdicts) {
        let (Some(enrichment), about) = (&mut event.enrichment, &self.about) else {
            return;
        };
        let enrichment = Arc::make_mut(enrichment);
        verdicts.names(marks).for_each(|name| enrichment.add_reason(name));
        enrichment.validated_at = now.or(enrichment.validated_at);
        if about.native.is_some() {
            // One instrument's description as a whole: half of it may be another one's.
            (enrichment.native, enrichment.base, enrichment.quote) = (about.native, about.base, about.quote);
            (enrichment.kind, enrichment.active) = (about.kind, about.active);
            (enrichment.price_step, enrichment.size_step) = (about.price_step, about.size_step);
        }
        enrichment.quote_currency = about.quote_currency.or(enrichment.quote_currency);
    }
}
