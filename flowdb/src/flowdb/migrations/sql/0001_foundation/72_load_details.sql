-- What one load read, refused and cost. Nothing here can be turned back into an identifier.
CREATE TABLE etl.source_files (
    load_id UUID PRIMARY KEY REFERENCES etl.loads,
    uri TEXT NOT NULL,
    size BIGINT NOT NULL,
    mtime TIMESTAMPTZ NOT NULL,
    sha256 TEXT NOT NULL,
    rows BIGINT NOT NULL,
    rejects BIGINT NOT NULL
);
COMMENT ON COLUMN etl.source_files.uri IS 'Relative to the landing folder';

CREATE TABLE etl.rejects (
    load_id UUID NOT NULL REFERENCES etl.loads,
    reason TEXT NOT NULL,
    records BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    PRIMARY KEY (load_id, reason)
);
COMMENT ON TABLE etl.rejects IS 'Refused records by reason; the lines themselves are in the reject file of the day';

CREATE TABLE etl.load_metrics (
    load_id UUID NOT NULL REFERENCES etl.loads,
    step TEXT NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (load_id, step)
);

CREATE TABLE etl.pseudonym_epochs (
    key_id TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    from_date DATE NOT NULL,
    to_date DATE NOT NULL
);
COMMENT ON TABLE etl.pseudonym_epochs IS
    'The days pseudonymised with each key; a key id ends in a fingerprint of its key. Two epochs cannot be linked';
