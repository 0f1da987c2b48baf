CREATE TABLE dfs.transaction_types (
    id SERIAL PRIMARY KEY,
    descr TEXT,
    user_type_a_party TEXT,
    user_type_b_party TEXT
);

CREATE TABLE dfs.transactions (
    id BIGSERIAL PRIMARY KEY,
    amount NUMERIC(14, 4),
    discount NUMERIC(14, 4),
    fee NUMERIC(14, 4),
    commission NUMERIC(14, 4),
    transtype_id INTEGER REFERENCES dfs.transaction_types,
    timestamp TIMESTAMPTZ
);

CREATE TABLE dfs.subscribers (
    id BIGSERIAL PRIMARY KEY,
    msisdn TEXT COLLATE "C"
);

-- Two rows per transaction, one for each party.
CREATE TABLE dfs.transactions_metadata (
    transaction_id BIGINT REFERENCES dfs.transactions,
    subscriber_id BIGINT REFERENCES dfs.subscribers,
    cell_id TEXT NOT NULL,
    cell_version INTEGER NOT NULL,
    is_outgoing BOOLEAN,
    FOREIGN KEY (cell_id, cell_version) REFERENCES infrastructure.cells (id, version)
);
