from flowetl.loading import load_day
def test_first(operator):
    operator.write("calls",[operator.call("a","10:00:00",operator.alice,operator.bob),operator.call("a","10:00:00",operator.bob,operator.alice,out=False,cell="c2"),operator.call("b","11:00:00",operator.carol,operator.alice,cell="")])
    r=load_day(operator.deployment, operator.sources["calls"], operator.day)
    print(r)
    for t in ["events.calls","etl.loads","etl.etl_records","etl.columnar_files","etl.subscriber_keys","etl.post_etl_queries","etl.load_metrics", "events.location_ids","available_tables"]:
        print(t)
        for row in operator.rows(f"select * from {t}"): print("  ",row)
    assert 0
