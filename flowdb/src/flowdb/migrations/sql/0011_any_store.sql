-- An executor more needs no migration: the engine's registry says which stores there are, the table how their names look.
SET LOCAL ROLE flowmachine;

ALTER TABLE engine.jobs DROP CONSTRAINT jobs_store_check;
ALTER TABLE engine.jobs ADD CONSTRAINT jobs_store_is_a_name CHECK (store ~ '^[a-z][a-z0-9_]{0,62}$');

-- Nothing writes or reads this column.
ALTER TABLE engine.jobs DROP COLUMN backend_pid;

RESET ROLE;

-- So that an explanation names the executor that computes while a day file waits for its repair.
GRANT SELECT ON etl.damaged_files TO flowmachine;
