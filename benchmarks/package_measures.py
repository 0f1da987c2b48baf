"""Name the measures of published packages and how their definitions differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.questions import Spec
from flowmachine import queries
from flowmachine.spec.query import Query

SKMOB, BANDICOOT = "scikit-mobility", "bandicoot"

#: Kilometres, of the earth as a ball in both packages.
_EARTH = 6371.0
_SPHERE = "it takes the earth for a ball of 6,371 km, we for the WGS 84 spheroid"
_BINS = "it counts one place in each half-hour of the clock, the most frequent or else the first seen (its documentation says the last), we every event"
_ANY_HOUR = (
    "of equal places it takes the southernmost, we the one seen last; without an event at night it takes all hours, "
    "we give no home"
)


@dataclass(frozen=True)
class Measure:
    """One measure that a package and we have.

    ``package_definition`` is a statement of the package's definition over the table ``events``, with ``subscriber`` and ``value``,
    written where that definition differs from ours: the package must equal it if ``differs`` tells the truth.
    """

    name: str
    kind: str
    ours: Callable[[Spec], Query]
    package: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    #: What a value of ours is divided by to have the package's unit.
    scale: float = 1.0
    #: Where our definition and the package's differ; empty if nowhere.
    differs: str = ""
    package_definition: str = ""

    @property
    def key(self) -> str:
        return f"{self.package}: {self.name}"


def at_night(window: Spec, start: int, end: int) -> Query:
    return queries.MostFrequentLocation(
        **window, aggregation_unit="lon-lat", hours={"start_hour": start, "end_hour": end}
    )


def _distance(lon: str, lat: str, other_lon: str, other_lat: str) -> str:
    return (
        f"2 * {_EARTH} * asin(least(1, sqrt(pow(sin(radians({other_lat} - {lat}) / 2), 2) + cos(radians({lat}))"
        f" * cos(radians({other_lat})) * pow(sin(radians({other_lon} - {lon}) / 2), 2))))"
    )


_LOCATED = "(FROM events WHERE place IS NOT NULL)"
_JUMPS = f"""(
    SELECT subscriber, {_distance("lon", "lat", "next_lon", "next_lat")} AS jump FROM (
        SELECT subscriber, lon, lat, lead(lon) OVER sequence AS next_lon, lead(lat) OVER sequence AS next_lat
        FROM {_LOCATED} WINDOW sequence AS (PARTITION BY subscriber ORDER BY number)
    ) WHERE next_lon IS NOT NULL
)"""
_HALF_HOURS = f"""(
    SELECT subscriber, bin, arg_max(place, (times, -first)) AS place, arg_max(lon, (times, -first)) AS lon,
        arg_max(lat, (times, -first)) AS lat
    FROM (
        SELECT subscriber, time_bucket(INTERVAL 30 MINUTE, time) AS bin, place, lon, lat, count(*) AS times,
            min(number) AS first
        FROM {_LOCATED} GROUP BY ALL
    ) GROUP BY subscriber, bin
)"""


def _gyration(points: str) -> str:
    return f"""
        SELECT subscriber, sqrt(avg(pow({_distance("lon", "lat", "mid_lon", "mid_lat")}, 2))) AS value FROM (
            SELECT subscriber, lon, lat, avg(lon) OVER everything AS mid_lon, avg(lat) OVER everything AS mid_lat
            FROM {points} WINDOW everything AS (PARTITION BY subscriber)
        ) GROUP BY subscriber
    """


_MOST_FREQUENT = f"""(
    SELECT subscriber, lon, lat FROM {_LOCATED} JOIN (
        SELECT subscriber, place, row_number() OVER (PARTITION BY subscriber ORDER BY count(*) DESC, min(number)) AS rank
        FROM {_LOCATED} GROUP BY subscriber, place
    ) USING (subscriber, place) WHERE rank <= 2
)"""
_HOMES = f"""
    SELECT subscriber, arg_max(lon, (times, -lat, -lon)) AS lon, arg_max(lat, (times, -lat, -lon)) AS lat FROM (
        SELECT subscriber, lon, lat, count(*) AS times
        FROM (SELECT *, hour(time) >= 22 OR hour(time) < 7 AS night FROM {_LOCATED})
        JOIN (
            SELECT subscriber, bool_or(hour(time) >= 22 OR hour(time) < 7) AS nights FROM {_LOCATED} GROUP BY ALL
        ) USING (subscriber)
        WHERE night OR NOT nights GROUP BY ALL
    ) GROUP BY subscriber
"""
_HOMES_OF_BINS = f"""
    SELECT subscriber, arg_max(lon, (times, -first)) AS lon, arg_max(lat, (times, -first)) AS lat FROM (
        SELECT subscriber, lon, lat, count(*) AS times, epoch(min(bin)) AS first
        FROM {_HALF_HOURS} WHERE hour(bin) >= 19 OR hour(bin) < 7 GROUP BY ALL
    ) GROUP BY subscriber
"""
_FROM_HOME = f"""
    SELECT subscriber, max({_distance("events.lon", "events.lat", "homes.lon", "homes.lat")}) AS value
    FROM {_LOCATED} AS events JOIN ({_HOMES}) AS homes USING (subscriber) GROUP BY subscriber
"""
_PARETO = """
    SELECT subscriber, min(rank) / any_value(events) AS value FROM (
        SELECT subscriber, row_number() OVER busiest AS rank, sum(times) OVER busiest AS so_far,
            sum(times) OVER (PARTITION BY subscriber) AS events
        FROM (SELECT subscriber, counterpart, count(*) AS times FROM events GROUP BY ALL)
        WINDOW busiest AS (PARTITION BY subscriber ORDER BY times DESC ROWS UNBOUNDED PRECEDING)
    ) WHERE so_far >= 0.8 * events GROUP BY subscriber
"""

MEASURES = (
    Measure(
        "Radius of gyration",
        "radius_of_gyration",
        lambda window: queries.RadiusOfGyration(**window),
        SKMOB,
        "radius_of_gyration",
        differs=_SPHERE,
        package_definition=_gyration(_LOCATED),
    ),
    Measure(
        "Radius of gyration of the 2 most frequent places",
        "k_radius_of_gyration",
        lambda window: queries.KRadiusOfGyration(**window, k=2),
        SKMOB,
        "k_radius_of_gyration",
        {"k": 2},
        differs=_SPHERE,
        package_definition=_gyration(_MOST_FREQUENT),
    ),
    Measure(
        "Random entropy",
        "mobility_entropy",
        lambda window: queries.MobilityEntropy(**window, entropy="random"),
        SKMOB,
        "random_entropy",
    ),
    Measure(
        "Uncorrelated entropy",
        "mobility_entropy",
        lambda window: queries.MobilityEntropy(**window, entropy="uncorrelated"),
        SKMOB,
        "uncorrelated_entropy",
    ),
    Measure(
        "Uncorrelated entropy, normalised",
        "mobility_entropy",
        lambda window: queries.MobilityEntropy(**window, entropy="uncorrelated", normalise=True),
        SKMOB,
        "uncorrelated_entropy",
        {"normalize": True},
    ),
    Measure(
        "Distance travelled",
        "distance_travelled",
        lambda window: queries.DistanceTravelled(**window),
        SKMOB,
        "distance_straight_line",
        differs=_SPHERE,
        package_definition=f"SELECT subscriber, sum(jump) AS value FROM {_JUMPS} GROUP BY subscriber",
    ),
    Measure(
        "Longest jump",
        "jump_lengths",
        lambda window: queries.JumpLengths(**window, statistic="max"),
        SKMOB,
        "maximum_distance",
        differs=f"{_SPHERE}; its documentation speaks of any two events, its values are of successive ones, as ours",
        package_definition=f"SELECT subscriber, max(jump) AS value FROM {_JUMPS} GROUP BY subscriber",
    ),
    Measure(
        "Home by nights, 22 to 7",
        "most_frequent_location",
        lambda window: at_night(window, 22, 7),
        SKMOB,
        "home_location",
        {"start_night": "22:00", "end_night": "07:00"},
        differs=_ANY_HOUR,
        package_definition=_HOMES,
    ),
    Measure(
        "Longest distance from home",
        "displacement",
        lambda window: queries.Displacement(
            **window, statistic="max", reference_location=at_night(window, 22, 7)
        ),
        SKMOB,
        "max_distance_from_home",
        {"start_night": "22:00", "end_night": "07:00"},
        differs=f"{_SPHERE}; {_ANY_HOUR}",
        package_definition=_FROM_HOME,
    ),
    Measure(
        "Number of places",
        "unique_location_counts",
        lambda window: queries.UniqueLocationCounts(**window, aggregation_unit="lon-lat"),
        SKMOB,
        "number_of_locations",
    ),
    Measure(
        "Radius of gyration",
        "radius_of_gyration",
        lambda window: queries.RadiusOfGyration(**window),
        BANDICOOT,
        "spatial.radius_of_gyration",
        differs=f"{_BINS}; {_SPHERE}",
        package_definition=_gyration(_HALF_HOURS),
    ),
    Measure(
        "Entropy of places",
        "LocationEntropy",
        lambda window: queries.LocationEntropy(**window, aggregation_unit="lon-lat"),
        BANDICOOT,
        "spatial.entropy_of_antennas",
        differs=f"{_BINS}; both in nats",
        package_definition=f"SELECT subscriber, entropy(place) * ln(2) AS value FROM {_HALF_HOURS} GROUP BY subscriber",
    ),
    Measure(
        "Number of places",
        "unique_location_counts",
        lambda window: queries.UniqueLocationCounts(**window, aggregation_unit="lon-lat"),
        BANDICOOT,
        "spatial.number_of_antennas",
        differs=_BINS,
        package_definition=f"SELECT subscriber, count(DISTINCT place) AS value FROM {_HALF_HOURS} GROUP BY subscriber",
    ),
    Measure(
        "Home by nights, 19 to 7",
        "most_frequent_location",
        lambda window: at_night(window, 19, 7),
        BANDICOOT,
        "User.recompute_home",
        differs=f"{_BINS}; of equal places it takes the one seen first, we the one seen last",
        package_definition=_HOMES_OF_BINS,
    ),
    Measure(
        "Number of contacts",
        "subscriber_degree",
        lambda window: queries.SubscriberDegree(**window),
        BANDICOOT,
        "individual.number_of_contacts",
        {"interaction": "callandtext"},
    ),
    Measure(
        "Entropy of contacts",
        "ContactEntropy",
        lambda window: queries.ContactEntropy(**window),
        BANDICOOT,
        "individual.entropy_of_contacts",
        {"interaction": "callandtext"},
    ),
    Measure(
        "Share of events at night, 19 to 7",
        "nocturnal_events",
        lambda window: queries.NocturnalEvents(**window, night_hours={"start_hour": 19, "end_hour": 7}),
        BANDICOOT,
        "individual.percent_nocturnal",
        {"interaction": "callandtext"},
        scale=100.0,
    ),
    Measure(
        "Active days",
        "total_active_periods",
        lambda window: queries.TotalActivePeriods(start_date=window["start_date"], total_periods=14),
        BANDICOOT,
        "individual.active_days",
    ),
    Measure(
        "Number of events",
        "event_count",
        lambda window: queries.EventCount(**window),
        BANDICOOT,
        "individual.number_of_interactions",
        {"interaction": "callandtext"},
    ),
    Measure(
        "Contacts behind 80% of events",
        "pareto_interactions",
        lambda window: queries.ParetoInteractions(**window, proportion=0.8),
        BANDICOOT,
        "individual.percent_pareto_interactions",
        {"interaction": "callandtext"},
        differs="it divides by the number of events, though its documentation says contacts; we divide by contacts",
        package_definition=_PARETO,
    ),
    Measure(
        "Mean seconds between events",
        "IntereventInterval",
        lambda window: queries.IntereventInterval(**window, direction="both"),
        BANDICOOT,
        "individual.interevent_time",
        {"interaction": "callandtext"},
    ),
    Measure(
        "Mean duration of calls",
        "SubscriberCallDurations",
        lambda window: queries.SubscriberCallDurations(**window, statistic="avg", direction="both"),
        BANDICOOT,
        "individual.call_duration",
        {"interaction": "call"},
    ),
    Measure(
        "Mean events with each contact",
        "PerContactEventStats",
        lambda window: queries.PerContactEventStats(contact_balance=queries.ContactBalance(**window)),
        BANDICOOT,
        "individual.interactions_per_contact",
        {"interaction": "callandtext"},
    ),
)
