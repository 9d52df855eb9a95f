//! QiCore sinks.
