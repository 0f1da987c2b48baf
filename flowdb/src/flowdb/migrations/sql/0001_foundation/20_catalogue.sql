-- What a client may ask about the database itself.

CREATE TABLE public.flowdb_version (
    version TEXT PRIMARY KEY,
    release_date DATE,
    updated BOOLEAN
);

-- Engines compare this as text and refuse a database older than 0.5.0, so it names the published
-- release whose schema this one offers and may only grow in text order.
INSERT INTO public.flowdb_version (version, release_date) VALUES ('1.34.0', NULL);

CREATE FUNCTION public.flowdb_version() RETURNS TABLE (version TEXT, release_date DATE)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT v.version, v.release_date FROM public.flowdb_version AS v ORDER BY v.version COLLATE "C" DESC
$$;

CREATE TABLE public.location_table (
    location_table TEXT PRIMARY KEY,
    changed BOOLEAN
);
INSERT INTO public.location_table (location_table) VALUES ('infrastructure.cells');

CREATE FUNCTION public.location_table() RETURNS TABLE (location_table TEXT)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT l.location_table FROM public.location_table AS l
$$;

CREATE TABLE public.available_tables (
    table_name TEXT PRIMARY KEY,
    has_locations BOOLEAN DEFAULT false,
    has_subscribers BOOLEAN DEFAULT false,
    has_counterparts BOOLEAN DEFAULT false
);

INSERT INTO public.available_tables (table_name)
VALUES ('calls'), ('forwards'), ('sms'), ('mds'), ('topups'), ('location_ids');

CREATE FUNCTION public.available_tables()
RETURNS TABLE (table_name TEXT, has_locations BOOLEAN, has_subscribers BOOLEAN, has_counterparts BOOLEAN)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.table_name, t.has_locations, t.has_subscribers, t.has_counterparts FROM public.available_tables AS t
$$;
