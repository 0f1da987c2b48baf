-- Sampling must be repeatable for a seed and must not leave the session's generator in a known state, so
-- the order comes from a hash of the seed and the generator is never touched.
CREATE FUNCTION public.random_ints(seed DOUBLE PRECISION, n_samples INT, max_val INT) RETURNS TABLE (id INT)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT i
    FROM generate_series(1, max_val) AS candidates (i)
    ORDER BY hashint4extended(i, hashfloat8extended(seed, 0)), i
    LIMIT n_samples
$$;
COMMENT ON FUNCTION public.random_ints IS
    'At most n_samples distinct integers of 1..max_val, in an order that is a function of the seed';

CREATE FUNCTION public.median_of_sorted_halves(numbers anycompatiblearray) RETURNS DOUBLE PRECISION
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT avg(number)
    FROM (
        SELECT number, row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS total
        FROM (SELECT unnest(numbers)::double precision AS number) AS every
        WHERE number IS NOT NULL
    ) AS ranked
    WHERE place IN ((total + 1) / 2, total / 2 + 1)
$$;

CREATE AGGREGATE public.median(anycompatible) (
    SFUNC = array_append,
    STYPE = anycompatiblearray,
    FINALFUNC = public.median_of_sorted_halves,
    INITCOND = '{}'
);

CREATE FUNCTION public.isnumeric(candidate TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    PERFORM candidate::numeric;
    RETURN true;
EXCEPTION
    WHEN invalid_text_representation OR numeric_value_out_of_range THEN
        RETURN false;
END;
$$;

CREATE FUNCTION public.long_running_queries()
RETURNS TABLE (pid INT, duration INTERVAL, query TEXT, state TEXT)
LANGUAGE sql STABLE AS $$
    SELECT a.pid, now() - a.query_start, a.query, a.state
    FROM pg_stat_activity AS a
    WHERE a.query_start < now() - interval '5 minutes' AND a.state <> 'idle'
$$;

CREATE FUNCTION public.close_all_connections() RETURNS BIGINT
LANGUAGE sql VOLATILE AS $$
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
$$;

-- Counts the arrivals of a unit-rate process until lambda; adding up waiting times cannot underflow
-- the way a product of uniform numbers does for a large lambda.
CREATE FUNCTION public.random_poisson(lambda DOUBLE PRECISION DEFAULT 1.0) RETURNS INT
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    arrivals INT := -1;
    elapsed DOUBLE PRECISION := 0;
BEGIN
    WHILE elapsed <= lambda LOOP
        elapsed := elapsed - ln(1 - random());
        arrivals := arrivals + 1;
    END LOOP;
    RETURN arrivals;
END;
$$;

CREATE FUNCTION public.random_pick(elements anyarray) RETURNS anyelement
LANGUAGE sql VOLATILE AS $$
    SELECT elements[array_lower(elements, 1) + floor(random() * cardinality(elements))::int]
$$;
