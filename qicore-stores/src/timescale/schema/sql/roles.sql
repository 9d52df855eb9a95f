-- Least-privilege roles, to be run by whoever may create roles, after the schema is there and after each migration. Give each program a
-- login of its own that is a member of one of them:
--   CREATE ROLE ingest LOGIN PASSWORD '…' IN ROLE qicore_writer;
--
-- qicore_migrator owns the schema's objects and runs the migrations; qicore_writer is for the sink; qicore_reader for
-- the source, the queries and dashboards. TimescaleDB runs the jobs of a table as its owner, who must have LOGIN for that;
-- as qicore_migrator has no password, nobody can log in as it where passwords are asked for.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qicore_migrator') THEN CREATE ROLE qicore_migrator LOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qicore_writer') THEN CREATE ROLE qicore_writer NOLOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qicore_reader') THEN CREATE ROLE qicore_reader NOLOGIN; END IF;
END
$$;

GRANT USAGE, CREATE ON SCHEMA {schema} TO qicore_migrator;
GRANT USAGE ON SCHEMA {schema} TO qicore_writer, qicore_reader;
GRANT SELECT ON {schema}.ohlcv, {schema}.trades, {schema}.quotes, {schema}.tickers, {schema}.books, {schema}.prices,
    {schema}.series, {schema}.alerts, {schema}.gaps, {schema}.instruments, {schema}.qicore_lanes, {schema}.qicore_writers, {schema}.qicore_schema,
    {schema}.ohlcv_1h, {schema}.ohlcv_1d TO qicore_reader, qicore_writer;
GRANT INSERT, UPDATE ON {schema}.ohlcv, {schema}.trades, {schema}.prices, {schema}.series, {schema}.gaps,
    {schema}.instruments, {schema}.qicore_lanes, {schema}.qicore_writers TO qicore_writer;
GRANT INSERT ON {schema}.quotes, {schema}.tickers, {schema}.books, {schema}.alerts TO qicore_writer;
-- Staging tables for rows that may be there already.
DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO qicore_writer', current_database()); END $$;

-- The objects change hands, so that later migrations need no other role.
DO $$
DECLARE
    object regclass;
BEGIN
    FOR object IN
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = '{schema_text}' AND c.relkind IN ('r', 'p', 'v')
          AND c.relname IN ('ohlcv', 'trades', 'quotes', 'tickers', 'books', 'prices', 'series', 'alerts', 'gaps',
                            'instruments', 'qicore_lanes', 'qicore_writers', 'qicore_schema', 'ohlcv_1h', 'ohlcv_1d')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO qicore_migrator', object);
    END LOOP;
END
$$;
