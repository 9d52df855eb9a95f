-- On a cluster with several shards: tables that hand each row to the shard of its symbol, and ask all of them.
{each_table}
CREATE TABLE IF NOT EXISTS {table:qicore_lanes}{on_cluster} AS {local:qicore_lanes}
ENGINE = Distributed('{cluster}', '{database_text}', 'qicore_lanes_local', cityHash64(pipeline, sink, lane));
