CREATE TABLE etl.absent_days (
    cdr_type TEXT NOT NULL,
    cdr_date DATE NOT NULL,
    reason TEXT NOT NULL,
    recorded TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (cdr_type, cdr_date)
);
COMMENT ON TABLE etl.absent_days IS 'Days of which the operator says that there will be no file, and why';
