SELECT count(*) FROM (SELECT DISTINCT msisdn FROM {{ final_table }} WHERE outgoing) AS party
