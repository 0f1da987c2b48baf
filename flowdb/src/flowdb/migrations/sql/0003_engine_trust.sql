-- What the engine is held to account by, and what it notices its own illnesses with.

-- Table and schema belong to the superuser: the engine can add a row and read it, but neither change nor remove one.
CREATE SCHEMA audit;
COMMENT ON SCHEMA audit IS 'What services were asked and answered; can be added to, never changed';

CREATE TABLE audit.engine_requests (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    request_id text NOT NULL,
    username text,
    action text NOT NULL,
    query_id text,
    params jsonb,
    status text NOT NULL,
    message text NOT NULL,
    seconds double precision NOT NULL
);
COMMENT ON TABLE audit.engine_requests IS 'What the engine was asked and answered, written before the answer left';
CREATE INDEX engine_requests_by_time ON audit.engine_requests (at);
GRANT USAGE ON SCHEMA audit TO flowmachine;
GRANT INSERT, SELECT ON audit.engine_requests TO flowmachine;

SET LOCAL ROLE flowmachine;

-- A server that was not stopped in good order empties all unlogged tables: this one and the engine's intermediate results.
CREATE UNLOGGED TABLE engine.intact (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO engine.intact (only_row) VALUES (true);

CREATE UNLOGGED TABLE engine.workers (
    name text PRIMARY KEY,
    seen timestamptz NOT NULL,
    ill text
);

RESET ROLE;
