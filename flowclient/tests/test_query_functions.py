"""Compare specifications and signatures with the contract."""

from __future__ import annotations

import copy
import datetime
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
from flowmachine.queries.examples import option, value

import flowclient
from flowclient import aggregates, query_specs
from flowclient_generator.emit import sources
from flowclient_generator.kinds import AGGREGATES, FUNCTIONS

#: What functions must build whatever the registry says: mostly what the published client builds.
FIXED = json.loads((Path(__file__).parent / "data" / "expected_specs.json").read_text())


def derived(kind, with_options):
    """A case of a kind's function, from the examples of its fields."""
    arguments, spec = {}, {"query_kind": kind.name}
    for argument in kind.arguments:
        if argument.required:
            spec[argument.name] = value(argument)
        elif with_options:
            spec[argument.name] = option(argument)
        elif not argument.may_be_absent and not argument.added:
            spec[argument.name] = argument.default
        if argument.required or with_options:
            written = spec[argument.name] == argument.example
            arguments[argument.keyword] = argument.example_argument if written else spec[argument.name]
    return {"function": f"{kind.name}_spec", "arguments": arguments, "spec": spec}


CASES = [
    *FIXED,
    *(derived(kind, options) for kind in FUNCTIONS if not kind.expression for options in (False, True)),
]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{number}-{case['function']}") for number, case in enumerate(CASES)]
)
def test_specifications(case, token):
    before = copy.deepcopy(case["arguments"])
    spec = getattr(flowclient, case["function"])(**case["arguments"])
    assert json.loads(json.dumps(spec)) == case["spec"]
    assert case["arguments"] == before
    kind = case["function"].removesuffix("_spec")
    if kind in aggregates.__all__:
        for connect in (flowclient.Connection, flowclient.ASyncConnection):
            connection = connect(url="https://flowapi.example.org", token=token)
            query = getattr(flowclient, kind)(connection=connection, **case["arguments"])
            assert type(query) is type(connection.make_api_query({}))
            assert query.parameters == spec


def test_every_function_has_cases_with_and_without_its_options():
    for kind in FUNCTIONS:
        given = [case["arguments"] for case in CASES if case["function"] == f"{kind.name}_spec"]
        assert given, kind.name
        optional = {argument.keyword for argument in kind.arguments if not argument.required}
        assert any(not optional & set(arguments) for arguments in given) or kind.name == "random_sample"
        assert optional <= set().union(*given)


@pytest.mark.parametrize("kind", FUNCTIONS, ids=lambda kind: kind.name)
def test_signatures(kind):
    def shape(function):
        return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]

    expected = [
        (
            argument.keyword,
            inspect.Parameter.KEYWORD_ONLY,
            inspect.Parameter.empty if argument.required else argument.default,
        )
        for argument in kind.arguments
    ]
    spec_function = getattr(flowclient, f"{kind.name}_spec")
    assert shape(spec_function) == expected
    assert all(argument.keyword in spec_function.__doc__ for argument in kind.arguments)
    if kind in AGGREGATES:
        assert shape(getattr(flowclient, kind.name))[1:] == expected


@pytest.mark.parametrize("module", ["client", "connection"])
def test_blocking_and_asynchronous_have_the_same_signatures(module):
    blocking, asynchronous = (
        (flowclient.client, flowclient.async_client)
        if module == "client"
        else (flowclient.Connection, flowclient.ASyncConnection)
    )
    names = [name for name in dir(blocking) if not name.startswith("_") and name != "perform"]
    homes = {f"flowclient.{module}", "flowclient.server"}
    compared = 0
    for name in names:
        function = getattr(blocking, name)
        twin = getattr(asynchronous, {"connect": "connect_async"}.get(name, name), None)
        if inspect.isfunction(function) and function.__module__ in homes:
            assert list(inspect.signature(function).parameters.values()) == [
                parameter.replace(annotation=str(parameter.annotation).replace("ASync", ""))
                if parameter.annotation is not inspect.Parameter.empty
                else parameter
                for parameter in inspect.signature(twin).parameters.values()
            ], name
            compared += 1
    assert compared > 5
    methods = [name for name in vars(flowclient.APIQuery) if not name.startswith("_")]
    for name in methods:
        function = getattr(flowclient.APIQuery, name)
        if inspect.isfunction(function):
            twin = getattr(flowclient.ASyncAPIQuery, name)
            assert inspect.signature(function).parameters == inspect.signature(twin).parameters, name


def test_generated_files_are_up_to_date():
    stale = [str(path.name) for path, text in sources().items() if path.read_text() != text]
    assert stale == [], "run flowclient/tools/generate.py"


def test_everything_public_is_exported():
    assert {*aggregates.__all__, *query_specs.__all__} <= set(flowclient.__all__)
    assert set(flowclient.client.__all__) <= set(flowclient.__all__)
    assert all(hasattr(flowclient, name) for name in flowclient.__all__)
    assert len(flowclient.__all__) == len(set(flowclient.__all__))


def test_old_names_say_what_they_are_called_now():
    for name in ("daily_location", "modal_location_from_dates", "random_sample"):
        with pytest.raises(AttributeError, match=f"{name}_spec"):
            getattr(flowclient, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = flowclient.nothing


def test_the_version_is_the_packages():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == flowclient.__version__


def test_import_needs_no_optional_package_and_not_even_pandas():
    script = (
        "import sys, flowclient; "
        "print([name for name in ('pandas', 'geopandas', 'folium', 'matplotlib', 'pyarrow', 'tqdm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("end", ["2016-01-03", "2016-01-02", datetime.date(2015, 1, 1)])
def test_a_span_without_days(end):
    with pytest.raises(ValueError, match="must be later than"):
        flowclient.modal_location_from_dates_spec(
            start_date="2016-01-03", end_date=end, aggregation_unit="admin3", method="last"
        )


@pytest.mark.parametrize(
    ("start", "end", "dates"),
    [
        ("2016-01-01T12:00:00", "2016-01-03", ["2016-01-01", "2016-01-02"]),
        ("2016-01-01", "2016-01-02T06:00:00", ["2016-01-01", "2016-01-02"]),
        (datetime.date(2016, 12, 31), datetime.date(2017, 1, 2), ["2016-12-31", "2017-01-01"]),
    ],
)
def test_days_of_a_span(start, end, dates):
    spec = flowclient.modal_location_from_dates_spec(
        start_date=start, end_date=end, aggregation_unit="admin3", method="last"
    )
    assert [location["date"] for location in spec["locations"]] == dates


@pytest.mark.parametrize("given", [{}, {"size": 1, "fraction": 0.5}])
def test_a_sample_needs_one_size(given):
    with pytest.raises(ValueError, match="exactly one"):
        flowclient.random_sample_spec(query={"query_kind": "event_count"}, seed=0.5, **given)


def test_a_large_specification_is_built_quickly():
    """Bound the work of 5,000 parts by count, because a time limit would be flaky."""
    spec = flowclient.modal_location_from_dates_spec(
        start_date="2003-01-01", end_date="2016-09-09", aggregation_unit="admin3", method="last"
    )
    assert len(spec["locations"]) == 5000
