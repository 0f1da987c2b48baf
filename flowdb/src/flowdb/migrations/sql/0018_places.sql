-- What rows of one place have in common is kept once, and near rows are found without those of most releases.
SET LOCAL ROLE flowmachine;

-- What a row is about, and the rows of totals that it is part of.
CREATE TABLE engine.ledger_places (
    place integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    form text NOT NULL,
    row_key bigint NOT NULL,
    -- Keys of the totals, in the order of `ledger_totals.position`. Empty in kinds without totals.
    parts_of bigint[] NOT NULL
);

COMMENT ON TABLE engine.ledger_places IS 'What rows of releases are about, and the rows of totals that they are part of';

INSERT INTO engine.ledger_places (form, row_key, parts_of)
SELECT DISTINCT results.form, rows.row_key, coalesce(rows.parts_of, '{}')
FROM engine.ledger_rows AS rows
JOIN engine.ledger_results AS results USING (release);

CREATE INDEX ledger_places_by_key ON engine.ledger_places (form, row_key);

CREATE TABLE engine.ledger_forms (
    form text PRIMARY KEY,
    -- How many keys the rows of releases of this form have, of all that were ever released.
    places integer NOT NULL,
    -- The fewest rows of a release, by `ledger_rows.size` from 1.
    fewest integer[] NOT NULL
);

COMMENT ON TABLE engine.ledger_forms IS 'How many places releases are about, by the columns of their keys';

-- With the columns in an order that leaves no gaps.
ALTER TABLE engine.ledger_rows RENAME TO earlier_rows;
DROP INDEX engine.ledger_rows_by_key, engine.ledger_rows_by_release;

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
    place integer NOT NULL,
    -- The release whose row was served in place of this one, or whose absence was kept.
    repeats integer,
    -- Number of binary digits of the number of the release's rows.
    size smallint NOT NULL,
    served boolean NOT NULL,
    -- Null where the value is the number of subscribers.
    value text
);

COMMENT ON TABLE engine.ledger_rows IS 'Rows of releases, with sketches of the subscribers behind; rows that were withheld too';

INSERT INTO engine.ledger_rows
SELECT
    rows.row_key, whole, part0, part1, part2, part3, thin64, thin4096,
    value_whole, value_part0, value_part1, value_part2, value_part3, value_thin64, value_thin4096,
    rows.release, subscribers, places.place, repeats,
    length(ltrim((count(*) OVER (PARTITION BY rows.release))::bit(31)::text, '0')),
    served, value
FROM engine.earlier_rows AS rows
JOIN engine.ledger_results AS results USING (release)
JOIN engine.ledger_places AS places
    ON places.form = results.form AND places.row_key = rows.row_key AND places.parts_of = coalesce(rows.parts_of, '{}')
ORDER BY rows.release;

INSERT INTO engine.ledger_forms
SELECT form, count(DISTINCT row_key), '{}' FROM engine.ledger_places GROUP BY form;

UPDATE engine.ledger_forms SET fewest = (
    SELECT array_agg(of_size.fewest ORDER BY sizes.size)
    FROM generate_series(1, 31) AS sizes (size)
    LEFT JOIN (
        SELECT length(ltrim(rows::bit(31)::text, '0')) AS size, min(rows) AS fewest
        FROM (
            SELECT count(*) AS rows
            FROM engine.ledger_rows
            JOIN engine.ledger_results USING (release)
            WHERE ledger_results.form = ledger_forms.form
            GROUP BY release
        ) AS releases
        GROUP BY 1
    ) AS of_size USING (size)
);

DROP TABLE engine.earlier_rows;

-- No foreign key: it would be checked for each row. `flowmachine ledger prune` removes from both tables.
-- With all that the search for near rows reads of the many rows of a key.
CREATE INDEX ledger_rows_by_key ON engine.ledger_rows (row_key, size, subscribers, part0) INCLUDE (release);
-- Of the release alone, because equal entries take a fraction of the space.
CREATE INDEX ledger_rows_by_release ON engine.ledger_rows (release);

DROP INDEX engine.ledger_margins_by_key;
CREATE INDEX ledger_margins_by_key
    ON engine.ledger_margins (row_key, subscribers) INCLUDE (part0, release, position, valued);

RESET ROLE;
