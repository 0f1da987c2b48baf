SELECT count(*) FROM (SELECT DISTINCT msisdn FROM {{ final_table }} WHERE NOT outgoing) AS party
