//! Candles, whatever happens.
