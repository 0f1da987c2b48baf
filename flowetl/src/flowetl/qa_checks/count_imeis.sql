SELECT count(*) FROM (SELECT DISTINCT imei FROM {{ final_table }} WHERE imei IS NOT NULL) AS seen
