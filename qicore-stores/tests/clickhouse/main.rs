//! ClickHouse on a real server.
