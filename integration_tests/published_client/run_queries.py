"""Run queries on stdin with the published client against a live server.

Both of its connections are used.

stdin: ``{"url", "token", "queries": {name: {"function", "arguments"}}}``. An argument ``{"spec": name, ...}``
is built by the function ``name`` first.

stdout: the result of each query.
"""

import asyncio
import json
import sys
import warnings

import flowclient

warnings.simplefilter("ignore")


def built(value):
    """Return arguments with their nested specs built by the client."""
    if isinstance(value, dict) and "spec" in value:
        arguments = {name: built(item) for name, item in value.items() if name != "spec"}
        # Specs of aggregates are not exported at the top level.
        module = flowclient if hasattr(flowclient, value["spec"]) else flowclient.aggregates
        return getattr(module, value["spec"])(**arguments)
    if isinstance(value, list):
        return [built(item) for item in value]
    return value


def query(connection, given):
    function = getattr(flowclient, given["function"])
    return function(
        connection=connection, **{name: built(value) for name, value in given["arguments"].items()}
    )


def table(frame):
    return {
        "columns": list(frame.columns),
        "rows": json.loads(frame.to_json(orient="values", double_precision=15)),
    }


def with_connection(given):
    connection = flowclient.connect(url=given["url"], token=given["token"])
    found = {
        "dates": flowclient.get_available_dates(connection=connection),
        "geography": len(
            flowclient.get_geography(connection=connection, aggregation_unit="admin3")["features"]
        ),
        "checks": flowclient.get_available_qa_checks(connection=connection),
        "outcome": flowclient.get_qa_check_outcome(
            connection=connection, event_type="calls", check_type="count_added_rows", event_date="2016-01-01"
        ),
        "outcomes": flowclient.get_qa_check_outcomes(
            connection=connection,
            event_type="calls",
            check_type="count_added_rows",
            start_date="2016-01-01",
            end_date="2016-01-02",
        ),
        "queries": {},
    }
    for name, spec in given["queries"].items():
        asked = query(connection, spec)
        asked.run()
        asked.wait_until_ready(poll_interval=0.2)
        result = {"table": table(asked.get_result(poll_interval=0.2)), "status": asked.status}
        if spec["geographic"]:
            result["features"] = asked.get_result(format="geojson", poll_interval=0.2)["features"]
        found["queries"][name] = result
    return found


async def with_asynchronous_connection(given):
    connection = await flowclient.connect_async(url=given["url"], token=given["token"])
    asked = {name: query(connection, spec) for name, spec in given["queries"].items()}
    frames = await asyncio.gather(*(one.get_result(poll_interval=0.2) for one in asked.values()))
    return {name: table(frame) for name, frame in zip(asked, frames, strict=True)}


given = json.load(sys.stdin)
json.dump(
    {"blocking": with_connection(given), "asynchronous": asyncio.run(with_asynchronous_connection(given))},
    sys.stdout,
)
