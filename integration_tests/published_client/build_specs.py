"""Run with the published client: print its names, keywords and specs.

The specs are built for the cases on stdin.
"""

import inspect
import json
import sys
from importlib.metadata import version

import flowclient
from flowclient import aggregates, async_client, client, query_specs

FUNCTIONS = {
    name: function
    for module in (query_specs, aggregates)
    for name, function in vars(module).items()
    if name.endswith("_spec")
}


def keywords(function):
    """Return each keyword with its default; a required keyword has none."""
    return {
        parameter.name: {} if parameter.default is parameter.empty else {"default": parameter.default}
        for parameter in inspect.signature(function).parameters.values()
    }


def helpers(module):
    return {
        name: keywords(function)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }


json.dump(
    {
        "version": version("flowclient"),
        "exported": sorted(flowclient.__all__),
        "keywords": {name: keywords(function) for name, function in FUNCTIONS.items()},
        "helpers": {"client": helpers(client), "async_client": helpers(async_client)},
        "specs": [
            FUNCTIONS[case["function"]](**case["arguments"]) if case["function"] in FUNCTIONS else None
            for case in json.load(sys.stdin)
        ],
    },
    sys.stdout,
)
