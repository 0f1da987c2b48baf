SELECT count(*) FROM (SELECT DISTINCT msisdn FROM {{ final_table }}) AS party
