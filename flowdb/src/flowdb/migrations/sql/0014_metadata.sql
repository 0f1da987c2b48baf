-- What is said beside a released result: why rows are absent, and which earlier answers and subsets were used.
SET LOCAL ROLE flowmachine;

-- Null for intermediate results, and for results of earlier versions.
ALTER TABLE engine.jobs ADD COLUMN metadata jsonb;
-- Twins repeat it.
ALTER TABLE engine.ledger_results ADD COLUMN withheld text[] NOT NULL DEFAULT '{}';
UPDATE engine.ledger_results SET withheld = '{floor}'
WHERE EXISTS (SELECT 1 FROM engine.ledger_rows WHERE ledger_rows.release = ledger_results.release AND NOT served);

RESET ROLE;
