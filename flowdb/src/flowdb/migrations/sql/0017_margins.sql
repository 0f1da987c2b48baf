-- Sums of published rows, so that the rows of another question that differ by few are found.
SET LOCAL ROLE flowmachine;

-- The question at its coarsest level: releases of one family are levels of one question. Null in earlier releases.
ALTER TABLE engine.ledger_results ADD COLUMN family text;

CREATE TABLE engine.ledger_margins (
    row_key bigint NOT NULL,
    -- Parity sketch of the subscribers behind the published rows, mixed with what they add to a value if that is not
    -- just one; of all rows, if none is published.
    whole bigint NOT NULL,
    part0 bigint NOT NULL,
    part1 bigint NOT NULL,
    part2 bigint NOT NULL,
    part3 bigint NOT NULL,
    thin64 bigint NOT NULL,
    thin4096 bigint NOT NULL,
    release integer NOT NULL,
    subscribers integer NOT NULL,
    -- As in `ledger_totals`.
    position smallint NOT NULL,
    -- Whether a row of it is published.
    served boolean NOT NULL,
    -- Whether the sketch is one of subscribers with values.
    valued boolean NOT NULL,
    -- Exclusive or of all rows, those that are not published too.
    everybody bigint NOT NULL
);

COMMENT ON TABLE engine.ledger_margins IS 'Published rows of releases together, by the row of the total that they are part of';

CREATE INDEX ledger_margins_by_key ON engine.ledger_margins (row_key, subscribers) INCLUDE (part0, release);
CREATE INDEX ledger_margins_by_release ON engine.ledger_margins (release);

RESET ROLE;
