-- Null counts as one value.
SELECT count(*) FROM (SELECT DISTINCT location_id FROM {{ final_table }}) AS place
