-- The tally of each day by cell and hour, beside its columnar file. Days loaded before have none until the loader's
-- command repair makes it.
ALTER TABLE etl.columnar_files
    ADD COLUMN tally_path TEXT,
    ADD COLUMN tally_bytes BIGINT,
    ADD COLUMN tally_sha256 TEXT,
    ADD CONSTRAINT tally_is_whole CHECK (num_nulls(tally_path, tally_bytes, tally_sha256) IN (0, 3));
COMMENT ON COLUMN etl.columnar_files.tally_path IS
    'File of the events counted by cell and hour, made from the day''s file; null for a day that lacks it';
