CREATE TABLE etl.unreadable (
    load_id UUID NOT NULL REFERENCES etl.loads ON DELETE CASCADE,
    column_name TEXT NOT NULL,
    records BIGINT NOT NULL,
    PRIMARY KEY (load_id, column_name)
);
COMMENT ON TABLE etl.unreadable IS
    'By load and optional column, the records whose text there could not be read and which were loaded without it';
