-- Locations that somebody joined to others in the last day, so that nearly equal ones can be counted.
SET LOCAL ROLE flowmachine;

CREATE TABLE engine.ledger_inputs (
    -- Empty where the engine was asked without a user.
    username text NOT NULL,
    -- The query for subscribers' locations, and what it was made of.
    query_id text NOT NULL CHECK (query_id ~ '^[0-9a-f]{32}$'),
    fingerprint text NOT NULL,
    unit text NOT NULL,
    subscribers bigint NOT NULL,
    -- Parity sketch of the subscribers mixed with their locations.
    whole bigint NOT NULL,
    part0 bigint NOT NULL,
    part1 bigint NOT NULL,
    part2 bigint NOT NULL,
    part3 bigint NOT NULL,
    thin64 bigint NOT NULL,
    thin4096 bigint NOT NULL,
    -- The earlier query of the same user that it is near to.
    near text,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (username, query_id, fingerprint)
);

COMMENT ON TABLE engine.ledger_inputs IS 'Locations that users joined to others in the last day, with sketches';

RESET ROLE;
