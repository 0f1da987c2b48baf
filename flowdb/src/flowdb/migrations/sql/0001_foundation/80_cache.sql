CREATE TABLE cache.cached (
    query_id VARCHAR CONSTRAINT cache_pkey PRIMARY KEY,
    version VARCHAR,
    query TEXT,
    created TIMESTAMPTZ,
    access_count INTEGER,
    last_accessed TIMESTAMPTZ,
    compute_time NUMERIC,
    cache_score_multiplier NUMERIC,
    class VARCHAR,
    schema VARCHAR,
    tablename VARCHAR,
    obj BYTEA
);
COMMENT ON COLUMN cache.cached.compute_time IS 'Milliseconds';
COMMENT ON COLUMN cache.cached.obj IS 'Kept for clients of the published schema; never loaded by ours, since loading runs code';

CREATE TABLE cache.dependencies (
    query_id VARCHAR CONSTRAINT cache_dependent_id REFERENCES cache.cached ON DELETE CASCADE,
    depends_on VARCHAR CONSTRAINT cache_dependency_id REFERENCES cache.cached ON DELETE CASCADE,
    CONSTRAINT dependencies_pkey PRIMARY KEY (depends_on, query_id)
);

CREATE SEQUENCE cache.cache_touches START 1;

CREATE TABLE cache.cache_config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- One tenth of what is free on the data volume, as the server sees it.
CREATE TEMPORARY TABLE free_space (kilobytes BIGINT) ON COMMIT DROP;
COPY free_space FROM PROGRAM 'df -Pk . | awk ''NR == 2 { print $4 }''';
INSERT INTO cache.cache_config (key, value)
VALUES
    ('half_life', '1000'),
    ('cache_size', (SELECT (kilobytes * 1024 / 10)::text FROM free_space)),
    ('cache_protected_period', '86400'),
    ('protected_period', '86400');

-- The published engine sets the protected period under the second of these two keys and reads the first.
CREATE FUNCTION cache.mirror_protected_period() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cache.cache_config
    SET value = NEW.value
    WHERE key IN ('protected_period', 'cache_protected_period') AND key <> NEW.key AND value <> NEW.value;
    RETURN NULL;
END;
$$;
CREATE TRIGGER mirror_protected_period AFTER UPDATE ON cache.cache_config
FOR EACH ROW WHEN (NEW.key IN ('protected_period', 'cache_protected_period'))
EXECUTE FUNCTION cache.mirror_protected_period();

CREATE FUNCTION public.cache_half_life() RETURNS DOUBLE PRECISION
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT value::double precision FROM cache.cache_config WHERE key = 'half_life'
$$;

CREATE FUNCTION public.cache_max_size() RETURNS BIGINT
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT value::bigint FROM cache.cache_config WHERE key = 'cache_size'
$$;

CREATE FUNCTION public.cache_protected_period() RETURNS BIGINT
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT value::bigint FROM cache.cache_config WHERE key = 'cache_protected_period'
$$;

CREATE FUNCTION public.table_size(tablename TEXT, table_schema TEXT) RETURNS DOUBLE PRECISION
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT pg_total_relation_size(c.oid)::double precision
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = tablename AND n.nspname = table_schema AND c.relkind = 'r'
$$;
COMMENT ON FUNCTION public.table_size IS
    'Bytes on disk with indexes; null for anything but an ordinary table that exists';

-- The floor on the size keeps an empty, unindexed table from failing the whole list by a division by zero, and
-- the ceiling on the score keeps every touch after the millionth from failing by an overflow.
CREATE FUNCTION public.cache_score(
    cache_score_multiplier NUMERIC, compute_time NUMERIC, tablesize DOUBLE PRECISION
) RETURNS DOUBLE PRECISION
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(
        cache_score_multiplier * (compute_time / 1000) / greatest(tablesize::numeric, 0.00001), 1.7e308::numeric
    )::double precision
$$;

CREATE FUNCTION public.touch_cache(cached_query_id TEXT) RETURNS DOUBLE PRECISION
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    growth NUMERIC := 0;
    score DOUBLE PRECISION;
BEGIN
    -- A named table is never evicted and takes no place in the sequence of touches.
    IF EXISTS (SELECT FROM cache.cached WHERE query_id = cached_query_id AND class IS DISTINCT FROM 'Table') THEN
        growth := power(
            1 + ln(2::numeric) / public.cache_half_life()::numeric, nextval('cache.cache_touches') - 2
        );
    END IF;
    UPDATE cache.cached
    SET
        last_accessed = now(),
        access_count = access_count + 1,
        cache_score_multiplier = CASE WHEN class = 'Table' THEN 0 ELSE cache_score_multiplier + growth END
    WHERE query_id = cached_query_id
    RETURNING
        public.cache_score(cache_score_multiplier, compute_time, public.table_size(tablename, schema))
    INTO score;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Query % is not in the cache.', cached_query_id;
    END IF;
    RETURN score;
END;
$$;

-- Any member of flowmachine may store a result; the engine must be able to evict it.
CREATE FUNCTION cache.give_table_to_flowmachine() RETURNS EVENT_TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    created RECORD;
BEGIN
    FOR created IN
        SELECT object_identity FROM pg_event_trigger_ddl_commands()
        WHERE schema_name = 'cache' AND object_type = 'table'
    LOOP
        EXECUTE 'ALTER TABLE ' || created.object_identity || ' OWNER TO flowmachine';
    END LOOP;
END;
$$;
CREATE EVENT TRIGGER trg_create_in_cache_set_owner_to_flowmachine ON ddl_command_end
WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
EXECUTE FUNCTION cache.give_table_to_flowmachine();
