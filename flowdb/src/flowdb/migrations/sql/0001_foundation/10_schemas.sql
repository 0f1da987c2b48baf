CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS tsm_system_rows WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS file_fdw WITH SCHEMA public;

-- Only the superuser may read files through it; loaders that stage operator files as foreign tables expect the name.
CREATE SERVER csv_fdw FOREIGN DATA WRAPPER file_fdw;

CREATE SCHEMA events;
CREATE SCHEMA infrastructure;
CREATE SCHEMA geography;
CREATE SCHEMA dfs;
CREATE SCHEMA etl;
CREATE SCHEMA cache;

COMMENT ON SCHEMA events IS 'Events, one partitioned parent per type, one partition per local day';
COMMENT ON SCHEMA infrastructure IS 'Sites, cells and device models';
COMMENT ON SCHEMA geography IS 'Boundaries; the only schema beside released results that the API may read';
COMMENT ON SCHEMA dfs IS 'Mobile-money transactions';
COMMENT ON SCHEMA etl IS 'What was loaded and how it was checked';
COMMENT ON SCHEMA cache IS 'Stored results and their metadata';

CREATE SCHEMA etl_private;
COMMENT ON SCHEMA etl_private IS 'Staging of loads in progress; nobody but the loader reads it';

CREATE SCHEMA engine AUTHORIZATION flowmachine;
COMMENT ON SCHEMA engine IS 'The query engine''s own tables: jobs, dependencies, inputs';
