//! Kafka, Redpanda and other brokers of that protocol.
