-- What each result was made from stands in its own row: a row for each day took as long to write as the result.
ALTER TABLE engine.jobs ADD COLUMN inputs jsonb, ADD COLUMN code_version text;
COMMENT ON COLUMN engine.jobs.inputs IS 'Loads that the query itself read: event type -> day -> load id';
COMMENT ON COLUMN engine.jobs.code_version IS 'Version of the engine that made the result';

UPDATE engine.jobs SET inputs = read.inputs
FROM (
    SELECT query_id, store, jsonb_object_agg(cdr_type, days) AS inputs
    FROM (
        SELECT query_id, store, cdr_type, jsonb_object_agg(cdr_date, load_id) AS days
        FROM engine.inputs GROUP BY query_id, store, cdr_type
    ) AS of_type
    GROUP BY query_id, store
) AS read
WHERE read.query_id = jobs.query_id AND read.store = jobs.store;

DROP TABLE engine.inputs;
COMMENT ON SCHEMA engine IS 'The query engine''s own tables: jobs and what each waits for';
