-- What the rows of releases add up to, so that the rest of a total is never a few subscribers.
SET LOCAL ROLE flowmachine;

-- Keys of the totals that a row is part of, in the order of `ledger_totals.position`. Null in kinds without totals, and
-- in releases of earlier versions.
ALTER TABLE engine.ledger_rows ADD COLUMN parts_of bigint[];

CREATE TABLE engine.ledger_totals (
    release integer NOT NULL,
    -- From 1, as in `ledger_rows.parts_of`.
    position smallint NOT NULL,
    -- The question whose rows these rows make.
    question text NOT NULL CHECK (question ~ '^[0-9a-f]{32}$'),
    PRIMARY KEY (release, position)
);

COMMENT ON TABLE engine.ledger_totals IS 'Questions of which each row is made of rows of a release';

CREATE INDEX ledger_totals_by_question ON engine.ledger_totals (question);

CREATE TABLE engine.ledger_sums (
    release integer NOT NULL,
    position smallint NOT NULL,
    row_key bigint NOT NULL,
    -- Of all rows together, those that do not leave too: a total with the same is made of them, whatever its question.
    whole bigint NOT NULL,
    subscribers integer NOT NULL
);

COMMENT ON TABLE engine.ledger_sums IS 'The sums of the rows of releases, by the row of the total';

CREATE INDEX ledger_sums_by_key ON engine.ledger_sums (row_key, whole);
CREATE INDEX ledger_sums_by_release ON engine.ledger_sums (release);
CREATE INDEX ledger_results_by_query ON engine.ledger_results (query_id);

RESET ROLE;
