SELECT max(datetime)::text FROM {{ final_table }}
