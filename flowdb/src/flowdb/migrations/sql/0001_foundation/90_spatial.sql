-- Clusters of the sites a subscriber uses (Hartigan's leader algorithm): sites come in by falling weight,
-- each joins the first cluster whose centre is near enough or founds the next one.

CREATE TYPE public.hartigan_cluster_interm AS (
    clusters geography[],
    rank INTEGER[],
    weights INTEGER[],
    site_ids TEXT[],
    versions TEXT[],
    buffer DOUBLE PRECISION,
    call_threshold INTEGER
);

CREATE TYPE public.hartigan_cluster AS (
    clusters geography[],
    rank INTEGER[],
    weights INTEGER[],
    site_ids TEXT[],
    versions TEXT[]
);

CREATE FUNCTION public.hartigan_add(
    state public.hartigan_cluster_interm,
    site_id TEXT,
    version INTEGER,
    weight INTEGER,
    threshold DOUBLE PRECISION,
    buffer DOUBLE PRECISION,
    call_threshold INTEGER
) RETURNS public.hartigan_cluster_interm
LANGUAGE plpgsql STABLE AS $$
DECLARE
    site geometry;
    centre geometry;
    total INTEGER;
BEGIN
    SELECT s.geom_point INTO site
    FROM infrastructure.sites AS s
    WHERE s.id = hartigan_add.site_id AND s.version = hartigan_add.version;
    state.buffer := buffer;
    state.call_threshold := call_threshold;
    IF site IS NULL THEN
        RETURN state;
    END IF;
    FOR i IN 1 .. coalesce(cardinality(state.clusters), 0) LOOP
        IF ST_Distance(state.clusters[i], site::geography) < threshold * 1000 THEN
            centre := state.clusters[i]::geometry;
            total := state.weights[i] + weight;
            state.clusters[i] := ST_SetSRID(
                ST_MakePoint(
                    (ST_X(centre) * state.weights[i] + ST_X(site) * weight) / total,
                    (ST_Y(centre) * state.weights[i] + ST_Y(site) * weight) / total
                ),
                4326
            )::geography;
            state.weights[i] := total;
            state.site_ids[i] := state.site_ids[i] || '::' || site_id;
            state.versions[i] := state.versions[i] || '::' || version;
            RETURN state;
        END IF;
    END LOOP;
    state.rank := array_append(state.rank, coalesce(cardinality(state.clusters), 0) + 1);
    state.clusters := array_append(state.clusters, site::geography);
    state.weights := array_append(state.weights, weight);
    state.site_ids := array_append(state.site_ids, site_id);
    state.versions := array_append(state.versions, version::text);
    RETURN state;
END;
$$;

CREATE FUNCTION public.hartigan_finish(state public.hartigan_cluster_interm) RETURNS public.hartigan_cluster
LANGUAGE sql STABLE AS $$
    SELECT (
        array_agg(
            CASE
                WHEN state.buffer > 0
                    THEN coalesce(site.geom_polygon::geography, ST_Buffer(c.centre, state.buffer * 1000))
                ELSE c.centre
            END
            ORDER BY c.rank
        ),
        array_agg(c.rank ORDER BY c.rank),
        array_agg(c.weight ORDER BY c.rank),
        array_agg(c.site_ids ORDER BY c.rank),
        array_agg(c.versions ORDER BY c.rank)
    )::public.hartigan_cluster
    FROM unnest(state.clusters, state.rank, state.weights, state.site_ids, state.versions)
        AS c (centre, rank, weight, site_ids, versions)
    -- A cluster of several sites has '::' in its lists and so finds no single site here.
    LEFT JOIN infrastructure.sites AS site ON site.id = c.site_ids AND site.version::text = c.versions
    WHERE c.weight >= state.call_threshold
$$;

CREATE AGGREGATE public.hartigan(
    site_id TEXT,
    version INTEGER,
    weight INTEGER,
    threshold DOUBLE PRECISION,
    buffer DOUBLE PRECISION,
    call_threshold INTEGER
) (
    SFUNC = public.hartigan_add,
    STYPE = public.hartigan_cluster_interm,
    FINALFUNC = public.hartigan_finish
);

CREATE FUNCTION public.makegrid_2d(
    bound_polygon geometry, grid_step NUMERIC, metric_srid INTEGER DEFAULT 3857
) RETURNS geometry
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ST_Collect(
        ST_Transform(
            ST_MakeEnvelope(x, y, x + grid_step::double precision, y + grid_step::double precision, metric_srid),
            ST_SRID(bound_polygon)
        )
        ORDER BY y, x
    )
    FROM (SELECT ST_Transform(bound_polygon, metric_srid) AS area) AS metric
    CROSS JOIN LATERAL
        generate_series(0, floor((ST_XMax(area) - ST_XMin(area)) / grid_step::double precision)::int) AS columns (i)
    CROSS JOIN LATERAL
        generate_series(0, floor((ST_YMax(area) - ST_YMin(area)) / grid_step::double precision)::int) AS rows (j)
    CROSS JOIN LATERAL (
        SELECT ST_XMin(area) + i * grid_step::double precision AS x, ST_YMin(area) + j * grid_step::double precision AS y
    ) AS corner
$$;
COMMENT ON FUNCTION public.makegrid_2d IS
    'Squares of grid_step metres from the lower left corner, every start up to and including the far edge';

CREATE FUNCTION public.viewshed(slopes REGCLASS)
RETURNS TABLE (
    location_id TEXT, geom_point geometry, od_line_identifier TEXT, geom_viewshed geometry, visible BOOLEAN
)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- Walking outward along a line, a point is seen when it stands steeper than everything before it.
    -- The first point has nothing before it.
    RETURN QUERY EXECUTE format(
        'SELECT
            location_id::text,
            geom_point,
            od_line_identifier::text,
            geom,
            coalesce(
                slope > max(slope) OVER (
                    PARTITION BY od_line_identifier
                    ORDER BY distance
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ),
                true
            )
        FROM %s
        ORDER BY od_line_identifier, distance',
        slopes
    );
END;
$$;
