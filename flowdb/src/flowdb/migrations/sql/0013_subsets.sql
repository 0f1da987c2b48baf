-- Sets of subscribers that subsets stand for, so that later sets can be compared with them. They outlive stored results.
SET LOCAL ROLE flowmachine;

CREATE TABLE engine.ledger_subsets (
    subset integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The query whose subscribers they are, and what it was made of.
    query_id text NOT NULL CHECK (query_id ~ '^[0-9a-f]{32}$'),
    fingerprint text NOT NULL,
    -- The earlier subset whose set is used in place of this one.
    used integer REFERENCES engine.ledger_subsets,
    subscribers bigint NOT NULL,
    -- Parity sketch of the subscribers.
    whole bigint NOT NULL,
    part0 bigint NOT NULL,
    part1 bigint NOT NULL,
    part2 bigint NOT NULL,
    part3 bigint NOT NULL,
    thin64 bigint NOT NULL,
    thin4096 bigint NOT NULL,
    -- Keys of the subscribers, only of a set that is used itself.
    members bigint[],
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (query_id, fingerprint),
    CHECK ((used IS NULL) = (members IS NOT NULL))
);

COMMENT ON TABLE engine.ledger_subsets IS 'Sets of subscribers that subsets stand for; near sets are replaced by the earliest';

CREATE INDEX ledger_subsets_in_use ON engine.ledger_subsets (subscribers) WHERE used IS NULL;

RESET ROLE;
