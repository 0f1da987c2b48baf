-- Groups of rows that are equal in everything but their id.
SELECT count(*)
FROM (SELECT 1 FROM {{ final_table }} GROUP BY {{ compared_columns }} HAVING count(*) > 1) AS repeated
