-- Rows to delete so that no two are equal in everything but their id.
SELECT coalesce(sum(repeated.copies - 1), 0)
FROM (SELECT count(*) AS copies FROM {{ final_table }} GROUP BY {{ compared_columns }} HAVING count(*) > 1) AS repeated
