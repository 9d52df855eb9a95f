//! The text of the candles' state: compact JSON, with exact values.

use std::fmt::Display;

use qicore_data::decimal::{self, DecimalText};
use qicore_data::{Decimal, Error, Exchange, Quality, Result, Symbol, Timeframe, Timestamp};
use serde::{Deserialize, Serialize};

use super::bar::Bar;
use super::builder::Builder;
use super::frame::Frame;
use super::sum::Sum;
use crate::transform::damaged;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    /// All times are nanoseconds.
    newest: i64,
    timeframes: Vec<Timeframe>,
    series: Vec<SavedSeries>,
}

#[derive(Serialize, Deserialize)]
struct SavedSeries(Exchange, Symbol, Vec<SavedFrame>);

/// `whole_from` and the bars.
#[derive(Serialize, Deserialize)]
struct SavedFrame(i64, Vec<SavedBar>);

/// A bar as an array: keys would make up most of the text.
#[derive(Serialize, Deserialize)]
struct SavedBar(Times, Prices, Volumes, Marks);

/// Opens, first trade, last trade, received, shown.
type Times = (i64, i64, i64, Option<i64>, Option<i64>);
/// Open, high, low, close.
type Prices = [String; 4];
/// Base, quote, trades.
type Volumes = (String, Option<String>, u64);
/// Quality, closed, revision, carried.
type Marks = (Quality, bool, u32, u32);

impl SavedBar {
    fn of(bar: &Bar) -> Self {
        let text = |value: Decimal| DecimalText::new(value).as_str().to_owned();
        Self(
            (
                bar.opens.nanos(),
                bar.first.nanos(),
                bar.last.nanos(),
                bar.received.map(Timestamp::nanos),
                bar.shown.map(Timestamp::nanos),
            ),
            [bar.open, bar.high, bar.low, bar.close].map(text),
            (
                bar.volume.to_string(),
                bar.quote_volume.map(|sum| sum.to_string()),
                bar.trades,
            ),
            (bar.quality, bar.closed, bar.revision, bar.carried),
        )
    }

    fn bar(&self, timeframe: Timeframe) -> Result<Bar> {
        let Self((opens, first, last, received, shown), prices, (volume, quote_volume, trades), marks) = self;
        let opens = Timestamp::from_nanos(*opens);
        let price = |at: usize| decimal::parse(&prices[at]).map_err(unreadable);
        let sum = |text: &String| text.parse::<Sum>().map_err(unreadable);
        let volume = sum(volume)?;
        if !volume.fits() {
            return Err(unreadable("a volume is no decimal"));
        }
        Ok(Bar {
            opens,
            ends: timeframe.next(opens),
            open: price(0)?,
            high: price(1)?,
            low: price(2)?,
            close: price(3)?,
            first: Timestamp::from_nanos(*first),
            last: Timestamp::from_nanos(*last),
            volume,
            quote_volume: quote_volume.as_ref().map(sum).transpose()?,
            trades: *trades,
            received: received.map(Timestamp::from_nanos),
            quality: marks.0,
            closed: marks.1,
            revision: marks.2,
            carried: marks.3,
            shown: shown.map(Timestamp::from_nanos),
        })
    }
}

impl Builder {
    /// The state, without bars that can change nothing any more.
    pub(super) fn save(&self) -> Result<Box<str>> {
        let save = |frame: &Frame| {
            let kept = frame.bars.iter().enumerate();
            let kept = kept.filter(|(at, bar)| !self.expired(bar.ends) || !frame.has_closed_after(*at));
            SavedFrame(
                frame.whole_from.nanos(),
                kept.map(|(_, bar)| SavedBar::of(bar)).collect(),
            )
        };
        let frames = self.frames.chunks(self.config.timeframes.len());
        let series = self
            .series
            .iter()
            .zip(frames)
            .map(|((exchange, symbol), frames)| SavedSeries(*exchange, *symbol, frames.iter().map(save).collect()));
        let state = State {
            version: VERSION,
            newest: self.newest.nanos(),
            timeframes: self.config.timeframes.clone(),
            series: series.collect(),
        };
        let text = serde_json::to_string(&state).map_err(unreadable)?;
        Ok(text.into())
    }

    /// Takes up a saved state. Timeframes that it does not know start anew after it, those that are no longer built
    /// are left out.
    pub(super) fn load(&mut self, text: &str) -> Result<()> {
        let state: State = serde_json::from_str(text).map_err(unreadable)?;
        if state.version != VERSION {
            let version = state.version;
            return Err(unreadable(format_args!("it has version {version}, not {VERSION}")));
        }
        let mut loaded = Self::new(self.config.clone())?;
        loaded.advance(Timestamp::from_nanos(state.newest));
        for SavedSeries(exchange, symbol, frames) in state.series {
            if frames.len() != state.timeframes.len() {
                return Err(unreadable("a series has not as many frames as there are timeframes"));
            }
            let load = |timeframe: &Timeframe| match state.timeframes.iter().position(|known| known == timeframe) {
                Some(at) => load_frame(&frames[at], *timeframe),
                None => Ok(Frame::new(Timestamp::from_nanos(state.newest.saturating_add(1)))),
            };
            let frames: Result<Vec<_>> = loaded.config.timeframes.iter().map(load).collect();
            loaded.add_series((exchange, symbol), &frames?);
        }
        loaded.rebuild_due();
        *self = loaded;
        Ok(())
    }
}

fn load_frame(saved: &SavedFrame, timeframe: Timeframe) -> Result<Frame> {
    let mut frame = Frame::new(Timestamp::from_nanos(saved.0));
    for bar in &saved.1 {
        frame.bars.push_back(bar.bar(timeframe)?);
    }
    let sorted = frame.bars.iter().is_sorted_by(|one, next| one.opens < next.opens);
    if !sorted {
        return Err(unreadable("bars are out of order"));
    }
    Ok(frame)
}

fn unreadable(why: impl Display) -> Error {
    damaged("candles.restore", why)
}
