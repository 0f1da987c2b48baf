-- Deny by default: each role gets what its service does and nothing else. Passwords and logins are not
-- here, since roles belong to the cluster and not to one database.

-- The query engine reads.
GRANT USAGE ON SCHEMA events, infrastructure, geography, dfs, etl TO flowmachine;
GRANT SELECT ON ALL TABLES IN SCHEMA events, infrastructure, geography, dfs, etl TO flowmachine;
ALTER DEFAULT PRIVILEGES IN SCHEMA events, infrastructure, geography, dfs, etl GRANT SELECT ON TABLES TO flowmachine;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA events, infrastructure, geography, dfs, etl TO flowmachine;
ALTER DEFAULT PRIVILEGES IN SCHEMA events, infrastructure, geography, dfs, etl
GRANT SELECT ON SEQUENCES TO flowmachine;

-- It owns what it stores, but the metadata tables belong to the superuser and so survive it.
GRANT USAGE, CREATE ON SCHEMA cache TO flowmachine;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON cache.cached, cache.dependencies TO flowmachine;
GRANT SELECT, UPDATE ON cache.cache_config TO flowmachine;
GRANT USAGE, SELECT, UPDATE ON SEQUENCE cache.cache_touches TO flowmachine;

-- The API reads boundaries and whatever result the engine grants to it by name. There is no default
-- privilege on cache: a result that was not released stays out of its reach.
GRANT USAGE ON SCHEMA cache, geography TO flowapi;
GRANT SELECT ON ALL TABLES IN SCHEMA geography TO flowapi;
ALTER DEFAULT PRIVILEGES IN SCHEMA geography GRANT SELECT ON TABLES TO flowapi;

GRANT SELECT ON
    public.flowdb_version, public.location_table, public.available_tables, public.d_date, public.d_time
TO PUBLIC;

-- What others run, and for how long, is the administrator's to see.
REVOKE SELECT ON public.pg_stat_statements, public.pg_stat_statements_info FROM PUBLIC;

-- Functions that act with their owner's rights are the engine's.
REVOKE EXECUTE ON FUNCTION
    public.cache_half_life(),
    public.cache_max_size(),
    public.cache_protected_period(),
    public.table_size(text, text),
    public.touch_cache(text),
    public.cells_version(),
    public.available_tables(),
    public.location_table(),
    etl.advance_cells_version()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    public.cache_half_life(),
    public.cache_max_size(),
    public.cache_protected_period(),
    public.table_size(text, text),
    public.touch_cache(text),
    public.cells_version(),
    public.available_tables(),
    public.location_table()
TO flowmachine;

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO flowmachine;
