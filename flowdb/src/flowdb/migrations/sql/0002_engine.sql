-- The engine's own tables: jobs, the graph between them, and what each result was made from.
-- Schema engine exists and belongs to flowmachine.

SET LOCAL ROLE flowmachine;

CREATE TABLE engine.jobs (
    query_id text NOT NULL CHECK (query_id ~ '^[0-9a-f]{32}$'),
    -- 'duckdb' and 'postgres' hold intermediate results, 'released' what has passed the release gate.
    store text NOT NULL CHECK (store IN ('duckdb', 'postgres', 'released')),
    kind text NOT NULL,
    spec jsonb NOT NULL,
    state text NOT NULL DEFAULT 'known' CHECK (
        state IN ('known', 'queued', 'executing', 'completed', 'errored', 'cancelled', 'resetting')
    ),
    planned boolean NOT NULL DEFAULT false,
    pending integer NOT NULL DEFAULT 0,
    parts integer NOT NULL DEFAULT 1,
    executor text,
    requested_by text,
    request_id text,
    created timestamptz NOT NULL DEFAULT now(),
    queued_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    worker text,
    backend_pid integer,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    cancel_requested boolean NOT NULL DEFAULT false,
    error_class text,
    error text,
    fingerprint text,
    cells_version bigint,
    compute_ms double precision,
    rows bigint,
    bytes bigint,
    -- Natural logarithm of the access multiplier; the score is this plus ln(cost) minus ln(size).
    score double precision,
    access_count bigint NOT NULL DEFAULT 0,
    last_accessed timestamptz,
    PRIMARY KEY (query_id, store)
) WITH (fillfactor = 70);

CREATE INDEX jobs_waiting ON engine.jobs (queued_at) WHERE state = 'queued';
CREATE INDEX jobs_running ON engine.jobs (lease_until) WHERE state = 'executing';

-- A result's direct inputs. Edges outlive the results, so that a cascade still finds all dependents.
CREATE TABLE engine.edges (
    query_id text NOT NULL,
    store text NOT NULL,
    depends_on text NOT NULL,
    depends_store text NOT NULL,
    -- Whether the dependent still waits for this input; set by its plan, cleared once.
    waiting boolean NOT NULL DEFAULT false,
    PRIMARY KEY (query_id, store, depends_on, depends_store)
);

CREATE INDEX edges_by_dependency ON engine.edges (depends_on, depends_store);

-- The parts that a submitted query still needed when it was planned: what its progress is counted over.
CREATE TABLE engine.plan_parts (
    root text NOT NULL,
    query_id text NOT NULL,
    store text NOT NULL,
    PRIMARY KEY (root, query_id, store)
);

CREATE TABLE engine.inputs (
    query_id text NOT NULL,
    store text NOT NULL,
    cdr_type text NOT NULL,
    cdr_date date NOT NULL,
    load_id uuid NOT NULL,
    PRIMARY KEY (query_id, store, cdr_type, cdr_date)
);

CREATE INDEX inputs_by_day ON engine.inputs (cdr_type, cdr_date);

CREATE SEQUENCE engine.touches MINVALUE 0 START 0;

RESET ROLE;
