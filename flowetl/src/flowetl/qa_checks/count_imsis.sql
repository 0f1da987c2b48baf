SELECT count(*) FROM (SELECT DISTINCT imsi FROM {{ final_table }} WHERE imsi IS NOT NULL) AS seen
