-- What was released, so that new answers can be compared with it. It outlives the results, and no row names a subscriber.
SET LOCAL ROLE flowmachine;

CREATE TABLE engine.ledger_results (
    release integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    query_id text NOT NULL CHECK (query_id ~ '^[0-9a-f]{32}$'),
    kind text NOT NULL,
    -- Key columns with their units, and what a value measures: only results with the same are compared.
    form text NOT NULL,
    measure text NOT NULL,
    statistic text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE engine.ledger_results IS 'Releases: each making of a released result';

CREATE TABLE engine.ledger_rows (
    -- Digest of the form and the values of the key columns.
    row_key bigint NOT NULL,
    -- Parity sketch of the subscribers behind the row.
    whole bigint NOT NULL,
    part0 bigint NOT NULL,
    part1 bigint NOT NULL,
    part2 bigint NOT NULL,
    part3 bigint NOT NULL,
    thin64 bigint NOT NULL,
    thin4096 bigint NOT NULL,
    -- The same of subscribers mixed with what they add to the value, where that is not just one.
    value_whole bigint,
    value_part0 bigint,
    value_part1 bigint,
    value_part2 bigint,
    value_part3 bigint,
    value_thin64 bigint,
    value_thin4096 bigint,
    release integer NOT NULL,
    subscribers integer NOT NULL,
    -- The release whose row was served in place of this one, or whose absence was kept.
    repeats integer,
    served boolean NOT NULL,
    -- Null where the value is the number of subscribers.
    value text
);

COMMENT ON TABLE engine.ledger_rows IS 'Rows of releases, with sketches of the subscribers behind; rows that were withheld too';

-- No foreign key: it would be checked for each row. `flowmachine ledger prune` removes from both tables.
-- With all that the search for near rows reads of the many rows of a key.
CREATE INDEX ledger_rows_by_key ON engine.ledger_rows (row_key, subscribers) INCLUDE (part0, release);
-- Of the release alone, because equal entries take a fraction of the space.
CREATE INDEX ledger_rows_by_release ON engine.ledger_rows (release);

RESET ROLE;
