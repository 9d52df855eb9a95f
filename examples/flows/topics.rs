use qicore::stores::kafka::{Connection, admin};

use crate::flows::Outcome;

/// Makes what is missing of the default topics, as `qicore topics apply` does.
pub(crate) async fn make() -> Outcome {
    let brokers = std::env::var("QICORE_KAFKA_BROKERS").map_err(
        |_| "no broker: eval \"$(./scripts/services.sh start kafka timescale clickhouse)\" starts all servers",
    )?;
    let specs = admin::default_topics().into_iter();
    let specs: Vec<_> = specs.map(|(name, contents)| contents.spec(name)).collect();
    Ok(admin::create(&Connection::brokers(brokers), &specs).await?)
}
