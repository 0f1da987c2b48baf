-- What a result was made from is said by its fingerprint; a row for each day that it read was written and never read.
DROP TABLE engine.inputs;
COMMENT ON SCHEMA engine IS 'The query engine''s own tables: jobs and what each waits for';
