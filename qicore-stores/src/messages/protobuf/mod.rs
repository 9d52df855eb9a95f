//! Events in Protobuf, as `schemas/qicore.proto` describes them: the fields of each message with their numbers.
//!
//! Not by prost's derive: its structs own a `String` for every name and a struct for every decimal, which takes twice as
//! long to write and a third longer to read. Fields are written from where they lie in the event, and names interned from
//! where they lie in the payload. Keys, varints and the skipping of unknown fields are prost's: its module `encoding` is
//! hidden from its documentation, but every struct that its derive makes calls it.

mod enrichment;
mod field;
mod levels;
mod value;
mod wire;

use qicore_data::{
    Alert, Book, Candle, Data, Error, ErrorKind, Event, Gap, Instrument, Price, Quote, Result, Series, Ticker, Trade,
};

use field::{Message, found, write};
use wire::Reader;

const OPERATION: &str = "messages.protobuf";

/// The messages of the kinds of data: a struct's fields, and their numbers on the wire. A number is never used again for
/// something else. Each writes its fields in this order.
macro_rules! messages {
    ($($number:literal $type:ident { $($at:literal $field:ident,)+ })+) => {
        $(impl Message for $type {
            const NAME: &'static str = stringify!($type);

            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                $(write($at, &self.$field, out);)+
            }

            fn read(mut reader: Reader<'_>) -> Result<Self> {
                $(let mut $field = None;)+
                while let Some(key) = reader.key()? {
                    match key.number {
                        $($at => reader.field(key, &mut $field, (Self::NAME, stringify!($field)))?,)+
                        _ => reader.skip(key)?,
                    }
                }
                Ok(Self { $($field: found($field, (Self::NAME, stringify!($field)))?,)+ })
            }
        })+

        fn write_data(data: &Data, out: &mut Vec<u8>) -> Result<()> {
            match data {
                $(Data::$type(message) => write($number, message, out),)+
                other => {
                    let message = format!("a {} has no form in Protobuf", other.event_type());
                    return Err(Error::new(ErrorKind::Unsupported, OPERATION, message));
                }
            }
            Ok(())
        }

        /// Reads the data of an event, if the field is that of a kind.
        fn read_data(key: wire::Key, reader: &mut Reader<'_>) -> Result<Option<Data>> {
            match key.number {
                $($number => {
                    let mut message: Option<$type> = None;
                    reader.field(key, &mut message, ("Event", stringify!($type)))?;
                    Ok(message.map(Data::$type))
                })+
                _ => Ok(None),
            }
        }
    };
}

messages! {
    7 Trade { 1 id, 2 side, 3 price, 4 size, }
    8 Quote { 1 bid, 2 bid_size, 3 ask, 4 ask_size, }
    9 Ticker { 1 last, 2 bid, 3 ask, 4 open, 5 high, 6 low, 7 volume, 8 quote_volume, }
    10 Book { 1 kind, 2 sequence, 3 levels, 4 checksum, }
    11 Candle {
        1 timeframe,
        2 open,
        3 high,
        4 low,
        5 close,
        6 volume,
        7 quote_volume,
        8 trades,
        9 closed,
        10 origin,
        11 revision,
    }
    12 Price { 1 price, 2 market_cap, 3 volume_24h, 4 change_24h, }
    13 Instrument { 1 native, 2 base, 3 quote, 4 kind, 5 active, 6 price_step, 7 size_step, }
    14 Series { 1 name, 2 value, 3 params, }
    15 Gap { 1 from, 2 to, 3 reason, 4 missed, }
    16 Alert { 1 rule, 2 severity, 3 message, 4 value, 5 threshold, }
}

/// Appends an event. Its data come last: a message that was cut short lacks them, and is no event.
pub(super) fn encode(event: &Event, out: &mut Vec<u8>) -> Result<()> {
    write(1, &event.exchange, out);
    write(2, &event.symbol, out);
    write(3, &event.timestamp, out);
    write(4, &event.received, out);
    write(5, &event.source, out);
    write(6, &event.quality, out);
    write(17, &event.enrichment, out);
    write_data(&event.data, out)
}

/// Reads an event.
pub(super) fn decode(payload: &[u8]) -> Result<Event> {
    let mut reader = Reader::new(payload);
    let (mut exchange, mut symbol, mut timestamp, mut received, mut source, mut quality) = Default::default();
    let mut enrichment = None;
    let mut data = None;
    while let Some(key) = reader.key()? {
        match key.number {
            1 => reader.field(key, &mut exchange, ("Event", "exchange"))?,
            2 => reader.field(key, &mut symbol, ("Event", "symbol"))?,
            3 => reader.field(key, &mut timestamp, ("Event", "timestamp"))?,
            4 => reader.field(key, &mut received, ("Event", "received"))?,
            5 => reader.field(key, &mut source, ("Event", "source"))?,
            6 => reader.field(key, &mut quality, ("Event", "quality"))?,
            17 => reader.field(key, &mut enrichment, ("Event", "enrichment"))?,
            _ => match read_data(key, &mut reader)? {
                Some(read) if data.is_none() => data = Some(read),
                Some(_) => return Err(Error::decode(OPERATION, "an event with data of two kinds")),
                None => reader.skip(key)?,
            },
        }
    }
    Ok(Event {
        exchange: found(exchange, ("Event", "exchange"))?,
        symbol: found(symbol, ("Event", "symbol"))?,
        timestamp: found(timestamp, ("Event", "timestamp"))?,
        received: found(received, ("Event", "received"))?,
        source: found(source, ("Event", "source"))?,
        quality: found(quality, ("Event", "quality"))?,
        enrichment: found(enrichment, ("Event", "enrichment"))?,
        data: data
            .ok_or_else(|| Error::decode(OPERATION, "an event without data of a kind that this version knows"))?,
    })
}
