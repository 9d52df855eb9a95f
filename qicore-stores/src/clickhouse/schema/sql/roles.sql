-- Least-privilege roles, to be run by whoever may create roles, after the schema is there. Give each program a user of
-- its own with one of them:
--   CREATE USER ingest IDENTIFIED WITH sha256_password BY '…' DEFAULT ROLE qicore_writer;
--   CREATE USER ingest IDENTIFIED WITH ssl_certificate CN 'ingest' DEFAULT ROLE qicore_writer;
--
-- qicore_migrator makes and alters the tables; qicore_writer is for the sink (with tables.migrate = false); qicore_reader
-- for the source, the queries and dashboards: it sees every row once (final = 1), changes nothing, and cannot take the
-- server's memory.

CREATE SETTINGS PROFILE IF NOT EXISTS qicore_reader{on_cluster}
    SETTINGS final = 1, readonly = 2, max_memory_usage = 8000000000, max_execution_time = 3600,
        cancel_http_readonly_queries_on_client_close = 1;
CREATE SETTINGS PROFILE IF NOT EXISTS qicore_writer{on_cluster}
    SETTINGS max_memory_usage = 4000000000, max_execution_time = 300;

CREATE ROLE IF NOT EXISTS qicore_reader{on_cluster} SETTINGS PROFILE 'qicore_reader';
GRANT{on_cluster} SELECT ON {database}.* TO qicore_reader;

CREATE ROLE IF NOT EXISTS qicore_writer{on_cluster} SETTINGS PROFILE 'qicore_writer';
GRANT{on_cluster} SELECT, INSERT ON {database}.* TO qicore_writer;

CREATE ROLE IF NOT EXISTS qicore_migrator{on_cluster};
GRANT{on_cluster} SELECT, INSERT, CREATE DATABASE, CREATE TABLE, CREATE VIEW, ALTER TABLE, ALTER VIEW, DROP VIEW ON {database}.*
    TO qicore_migrator;

-- For the health probe.
GRANT{on_cluster} SELECT ON system.parts TO qicore_reader, qicore_writer, qicore_migrator;
GRANT{on_cluster} SELECT ON system.replicas TO qicore_reader, qicore_writer, qicore_migrator;

-- On a cluster:
--   GRANT CLUSTER, REMOTE ON *.* TO qicore_migrator, qicore_writer, qicore_reader;
