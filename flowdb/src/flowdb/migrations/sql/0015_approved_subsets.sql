-- Subsets that submitted queries may use where FLOWMACHINE_SUBSETS is `listed`.
SET LOCAL ROLE flowmachine;

CREATE TABLE engine.approved_subsets (
    query_id text PRIMARY KEY CHECK (query_id ~ '^[0-9a-f]{32}$'),
    spec jsonb NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE engine.approved_subsets IS 'Subsets that submitted queries may use where only listed ones are allowed';

RESET ROLE;
