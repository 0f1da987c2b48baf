"""The published schema as a whole."""

from __future__ import annotations

from flowmachine.queries.catalogue import kinds, submittable_kinds
from flowmachine.queries.schema import query_schemas

#: Published names that are not the kind in plain CamelCase.
SPELT_OTHERWISE = {
    "DFSTotalMetricAmount",
    "TopUpAmount",
    "TopUpBalance",
    "TripsODMatrix",
    "ConsecutiveTripsODMatrix",
    "MeaningfulLocationsBetweenLabelODMatrix",
    "MeaningfulLocationsBetweenDatesODMatrix",
}

HELPERS = {
    "Hours",
    "Bounds",
    "HistogramBins",
    "RandomSample",
    "SystemRandomSample",
    "BernoulliRandomSample",
    "RandomIDsRandomSample",
    "ReferenceLocation",
    "InputToFlows",
    "InputToModalLocation",
    "VisitableLocation",
    "WeightedLocationQueries",
    "HistogrammableMetrics",
    "JoinableMetrics",
    "FlowmachineQuerySchema",
}


def test_every_kind_and_helper_has_a_component() -> None:
    components = query_schemas()
    assert len(kinds()) == 47
    assert len(submittable_kinds()) == 27
    assert set(components) >= SPELT_OTHERWISE | HELPERS
    assert len(components) == len(kinds()) + len(HELPERS) == 62


def test_scopes_have_628_words_to_be_made_of() -> None:
    """Each unit of each kind that may be submitted, with every kind that may occur in it; and four simple ones."""
    components = query_schemas()

    def kinds_in(node: object, seen: set[str]) -> set[str]:
        if isinstance(node, list):
            return set().union(*(kinds_in(item, seen) for item in node))
        if not isinstance(node, dict):
            return set()
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.rpartition("/")[2]
            return set() if name in seen else kinds_in(components[name], seen.add(name) or seen)
        own = (
            {node["properties"]["query_kind"]["enum"][0]}
            if "query_kind" in node.get("properties", {})
            else set()
        )
        return own.union(*(kinds_in(value, seen) for key, value in node.items() if key != "discriminator"))

    scopes = {
        (unit, alternative["$ref"], kind)
        for alternative in components["FlowmachineQuerySchema"]["oneOf"]
        for kind in kinds_in(alternative, set())
        for unit in components[alternative["$ref"].rpartition("/")[2]]["properties"]
        .get("aggregation_unit", {})
        .get("enum", ["nonspatial"])
    }
    assert len(scopes) + len({"run", "get_result", "get_available_dates", "get_qa_checks"}) == 628
