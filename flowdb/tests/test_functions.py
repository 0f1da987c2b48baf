"""Check functions of schema public against values worked out by hand."""

import math

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from flowdb.testing import Database


def scalar(cursor: Cursor, statement: str, *values: object) -> object:
    cursor.execute(statement, values)
    row = cursor.fetchone()
    assert row is not None
    return row[0]


# The cache.


def store(cursor: Cursor, query_id: str, kind: str = "DailyLocation", milliseconds: int = 100_000) -> None:
    cursor.execute(
        "INSERT INTO cache.cached (query_id, access_count, compute_time, cache_score_multiplier, class, schema, tablename)"
        " VALUES (%s, 0, %s, 0, %s, 'cache', %s)",
        (query_id, milliseconds, kind, f"x{query_id}"),
    )


def touched_score(cursor: Cursor, query_id: str, size: int) -> float:
    cursor.execute("SELECT touch_cache(%s)", (query_id,))
    return float(
        str(
            scalar(
                cursor,
                "SELECT cache_score(cache_score_multiplier, compute_time, %s) FROM cache.cached WHERE query_id = %s",
                size,
                query_id,
            )
        )
    )


def test_a_score_grows_with_every_touch_and_touches_age(superuser: Cursor) -> None:
    superuser.execute("UPDATE cache.cache_config SET value = '2' WHERE key = 'half_life'")
    superuser.execute("SELECT setval('cache.cache_touches', 1)")
    store(superuser, "a")
    store(superuser, "b")
    assert touched_score(superuser, "a", 10) == pytest.approx(10)
    assert touched_score(superuser, "b", 100) == pytest.approx(1.3466, abs=5e-5)
    for _ in range(3):
        superuser.execute("SELECT touch_cache('b')")
    assert touched_score(superuser, "b", 100) == pytest.approx(13.317, abs=5e-4)


def test_a_touch_counts_and_returns_the_score_of_the_real_size(superuser: Cursor) -> None:
    superuser.execute("SELECT setval('cache.cache_touches', 1)")
    superuser.execute("CREATE TABLE cache.xa AS SELECT generate_series(1, 1000) AS value")
    store(superuser, "a")
    size = scalar(superuser, "SELECT table_size('xa', 'cache')")
    assert isinstance(size, float)
    assert size >= 4000
    assert scalar(superuser, "SELECT touch_cache('a')") == pytest.approx(100 / size)
    superuser.execute("SELECT access_count, last_accessed = now() FROM cache.cached WHERE query_id = 'a'")
    assert superuser.fetchone() == (1, True)


def test_a_missing_table_counts_as_tiny_and_not_as_an_error(superuser: Cursor) -> None:
    superuser.execute("SELECT setval('cache.cache_touches', 1)")
    store(superuser, "a")
    assert scalar(superuser, "SELECT touch_cache('a')") == pytest.approx(100 / 0.00001)
    assert scalar(superuser, "SELECT cache_score(1, 1000, 0)") == pytest.approx(1 / 0.00001)


def test_named_tables_keep_the_multiplier_zero_and_take_no_touch(superuser: Cursor) -> None:
    superuser.execute("SELECT setval('cache.cache_touches', 7)")
    store(superuser, "a", kind="Table")
    assert scalar(superuser, "SELECT touch_cache('a')") == 0
    assert scalar(superuser, "SELECT nextval('cache.cache_touches')") == 8


def test_touches_do_not_overflow(superuser: Cursor) -> None:
    superuser.execute("SELECT setval('cache.cache_touches', 2000000)")
    store(superuser, "a", milliseconds=1)
    superuser.execute("CREATE TABLE cache.xa AS SELECT generate_series(1, 1000) AS value")
    assert scalar(superuser, "SELECT touch_cache('a')") == 1.7e308


def test_touching_an_unknown_query_names_it(superuser: Cursor) -> None:
    with pytest.raises(psycopg2.errors.RaiseException, match="nosuchquery"):
        superuser.execute("SELECT touch_cache('nosuchquery')")


def test_only_ordinary_tables_have_a_size(superuser: Cursor) -> None:
    assert scalar(superuser, "SELECT table_size('cells', 'infrastructure')")
    for name, schema in (("calls", "events"), ("admin0", "geography"), ("absent", "cache")):
        assert scalar(superuser, "SELECT table_size(%s, %s)", name, schema) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [("protected_period", "cache_protected_period"), ("cache_protected_period", "protected_period")],
)
def test_both_names_of_the_protected_period_are_one(superuser: Cursor, written: str, read: str) -> None:
    superuser.execute("UPDATE cache.cache_config SET value = '42' WHERE key = %s", (written,))
    assert scalar(superuser, "SELECT value FROM cache.cache_config WHERE key = %s", read) == "42"
    assert scalar(superuser, "SELECT cache_protected_period()") == 42


def test_new_databases_have_a_configured_cache(superuser: Cursor) -> None:
    assert scalar(superuser, "SELECT cache_half_life()") == 1000
    assert scalar(superuser, "SELECT cache_protected_period()") == 86400
    size = scalar(superuser, "SELECT cache_max_size()")
    assert isinstance(size, int)
    assert size > 2**20


# Samples and helpers.


def random_ints(cursor: Cursor, seed: float, samples: int, largest: int) -> list[int]:
    cursor.execute("SELECT id FROM random_ints(%s, %s, %s)", (seed, samples, largest))
    return [number for (number,) in cursor]


def test_a_sample_is_a_function_of_its_seed(superuser: Cursor) -> None:
    sample = random_ints(superuser, 0.25, 50, 1000)
    assert random_ints(superuser, 0.25, 50, 1000) == sample
    assert random_ints(superuser, 0.26, 50, 1000) != sample
    assert len(set(sample)) == 50
    assert set(sample) <= set(range(1, 1001))
    assert sample != sorted(sample)


def test_a_sample_is_no_larger_than_the_population(superuser: Cursor) -> None:
    assert sorted(random_ints(superuser, -1, 50, 7)) == [1, 2, 3, 4, 5, 6, 7]


def test_a_sample_does_not_settle_the_generator(superuser: Cursor) -> None:
    after = []
    for _ in range(2):
        random_ints(superuser, 0.5, 5, 100)
        after.append(scalar(superuser, "SELECT random()"))
    assert after[0] != after[1]


def test_every_number_is_sampled_about_as_often(superuser: Cursor) -> None:
    superuser.execute(
        "SELECT id, count(*) FROM generate_series(1, 400) AS seeds (i), random_ints(i / 400.0, 5, 20) GROUP BY id"
    )
    counts = dict(superuser.fetchall())
    assert set(counts) == set(range(1, 21))
    assert min(counts.values()) > 60
    assert max(counts.values()) < 140


@pytest.mark.parametrize(
    ("values", "middle"),
    [([3, 1, 2], 2.0), ([4, 1, 2, 3], 2.5), ([None, 5, None], 5.0), ([7], 7.0), ([None], None), ([], None)],
)
def test_median(superuser: Cursor, values: list[int | None], middle: float | None) -> None:
    assert scalar(superuser, "SELECT median(value) FROM unnest(%s::int[]) AS t (value)", values) == middle


def test_median_takes_any_number(superuser: Cursor) -> None:
    superuser.execute(
        "SELECT median(v::numeric), median(v::bigint), median(v::double precision), pg_typeof(median(v::int))::text"
        " FROM (VALUES (1), (2)) AS t (v)"
    )
    assert superuser.fetchone() == (1.5, 1.5, 1.5, "double precision")


@pytest.mark.parametrize(
    ("text", "numeric"),
    [
        ("1", True),
        ("-1.5e3", True),
        (" 7 ", True),
        ("1x", False),
        ("", False),
        ("1e999999", False),
        (None, None),
    ],
)
def test_isnumeric(superuser: Cursor, text: str | None, numeric: bool | None) -> None:
    assert scalar(superuser, "SELECT isnumeric(%s)", text) is numeric


@pytest.mark.parametrize("expected", [0.5, 4.0, 1000.0])
def test_random_poisson_has_its_mean_and_variance(superuser: Cursor, expected: float) -> None:
    superuser.execute("SELECT setseed(0.1)")
    superuser.execute(
        "SELECT avg(n)::float, var_pop(n)::float FROM (SELECT random_poisson(%s) AS n FROM generate_series(1, 2000)) AS t",
        (expected,),
    )
    mean, variance = superuser.fetchone() or (0, 0)
    assert mean == pytest.approx(expected, rel=0.15)
    assert variance == pytest.approx(expected, rel=0.2)


def test_random_pick_takes_every_element_and_no_other(superuser: Cursor) -> None:
    picked = scalar(
        superuser,
        "SELECT array_agg(DISTINCT value) FROM (SELECT random_pick(ARRAY['a', 'b', 'c']) AS value"
        " FROM generate_series(1, 200)) AS picks",
    )
    assert picked == ["a", "b", "c"]
    assert scalar(superuser, "SELECT random_pick('{}'::int[])") is None


def test_other_connections_are_closed(database: Database) -> None:
    other = database.connect("flowmachine")
    with database.connect() as connection, connection.cursor() as cursor:
        assert scalar(cursor, "SELECT close_all_connections()") == 1
        assert scalar(cursor, "SELECT count(*) FROM long_running_queries()") == 0
    with pytest.raises(psycopg2.OperationalError), other.cursor() as cursor:
        cursor.execute("SELECT 1")


# Places.


@pytest.fixture
def sites(superuser: Cursor) -> Cursor:
    """Provide four sites on the equator; one has a coverage polygon.

    A degree of longitude is 111.3 km there.
    """
    superuser.execute(
        "INSERT INTO infrastructure.sites (id, version, geom_point, geom_polygon) VALUES"
        " ('a', 0, ST_SetSRID(ST_Point(0, 0), 4326), NULL),"
        " ('b', 0, ST_SetSRID(ST_Point(0.01, 0), 4326), NULL),"
        " ('c', 0, ST_SetSRID(ST_Point(1, 0), 4326), ST_Multi(ST_MakeEnvelope(0.9, -0.1, 1.1, 0.1, 4326))),"
        " ('d', 2, ST_SetSRID(ST_Point(2, 0), 4326), NULL)"
    )
    return superuser


def clusters(
    cursor: Cursor, threshold: float = 2, buffer: float = 0, least: int = 0
) -> list[tuple[int, int, list[str], list[str], str, int]]:
    """Return each cluster's rank, weight, site ids, versions, centre and area.

    Areas are in square kilometres.
    """
    cursor.execute(
        "SELECT c.rank, c.weight, string_to_array(c.site_ids, '::'), string_to_array(c.versions, '::'),"
        " ST_AsText(ST_Centroid(c.place::geometry), 4), (ST_Area(c.place) / 1e6)::int"
        " FROM (SELECT (hartigan(id, version, weight, %s, %s, %s)).* FROM"
        " (SELECT * FROM (VALUES ('d', 2, 1), ('a', 0, 30), ('b', 0, 10), ('c', 0, 20)) AS v (id, version, weight)"
        " ORDER BY weight DESC) AS used) AS h,"
        " unnest(h.clusters, h.rank, h.weights, h.site_ids, h.versions) AS c (place, rank, weight, site_ids, versions)",
        (threshold, buffer, least),
    )
    return cursor.fetchall()


def test_near_sites_join_the_first_cluster_at_their_weighted_centre(sites: Cursor) -> None:
    assert clusters(sites) == [
        (1, 40, ["a", "b"], ["0", "0"], "POINT(0.0025 0)", 0),
        (2, 20, ["c"], ["0"], "POINT(1 0)", 0),
        (3, 1, ["d"], ["2"], "POINT(2 0)", 0),
    ]


def test_sites_beyond_the_threshold_stay_apart(sites: Cursor) -> None:
    assert [ids for _, _, ids, *_ in clusters(sites, threshold=1)] == [["a"], ["c"], ["b"], ["d"]]


def test_light_clusters_are_dropped(sites: Cursor) -> None:
    assert [weight for _, weight, *_ in clusters(sites, least=20)] == [40, 20]


def test_a_buffer_widens_centres_and_a_lone_site_keeps_its_polygon(sites: Cursor) -> None:
    joined, polygon, buffered = clusters(sites, buffer=10)
    circle = math.pi * 10**2
    assert joined[5] == pytest.approx(circle, rel=0.02)
    assert polygon[5] == pytest.approx(0.2**2 * 111.3 * 110.6, rel=0.01)
    assert buffered[5] == pytest.approx(circle, rel=0.02)


def test_unknown_sites_are_passed_over(sites: Cursor) -> None:
    sites.execute(
        "SELECT (hartigan(id, 0, 1, 2.0, 0.0, 0)).site_ids FROM (VALUES ('nowhere'), ('a')) AS v (id)"
    )
    assert sites.fetchall() == [(["a"],)]


def test_clusters_are_made_per_subscriber(sites: Cursor) -> None:
    sites.execute(
        "SELECT subscriber, (hartigan(id, 0, 1, 2.0, 0.0, 0)).weights FROM"
        " (VALUES ('x', 'a'), ('x', 'b'), ('y', 'a')) AS v (subscriber, id) GROUP BY subscriber ORDER BY 1"
    )
    assert sites.fetchall() == [("x", [2]), ("y", [1])]


def test_a_grid_includes_both_edges(superuser: Cursor) -> None:
    superuser.execute(
        "SELECT count(*), min(ST_Area(geom)), max(ST_Area(geom)), ST_Extent(geom)::text FROM"
        " ST_Dump(makegrid_2d(ST_MakeEnvelope(0, 0, 10, 10, 3857), 1)) AS squares"
    )
    assert superuser.fetchone() == (121, 1.0, 1.0, "BOX(0 0,11 11)")


def test_a_grid_is_laid_in_metres_and_returned_in_its_own_coordinates(superuser: Cursor) -> None:
    superuser.execute(
        "SELECT count(*), min(ST_SRID(geom)), sum(ST_Area(ST_Transform(geom, 32645)) / 1e6)::int FROM"
        " ST_Dump(makegrid_2d(ST_Transform(ST_MakeEnvelope(300000, 3000000, 302500, 3002500, 32645), 4326),"
        " 1000, 32645)) AS squares"
    )
    assert superuser.fetchone() == (9, 4326, 9)


def test_what_stands_steeper_than_all_before_it_is_visible(superuser: Cursor) -> None:
    superuser.execute(
        "CREATE TEMPORARY TABLE slopes AS SELECT 'cell' AS location_id, ST_Point(0, 0) AS geom_point,"
        " line AS od_line_identifier, ST_Point(distance, 0) AS geom, distance::float, slope::float FROM (VALUES"
        " ('second', 2, 9), ('first', 3, 0.2), ('first', 1, -1), ('first', 2, 0.5), ('first', 5, 0.7),"
        " ('first', 4, 0.5), ('second', 1, 0)) AS v (line, distance, slope)"
    )
    superuser.execute(
        "SELECT location_id, od_line_identifier, ST_X(geom_viewshed), visible FROM viewshed('slopes') ORDER BY 2, 3"
    )
    assert superuser.fetchall() == [
        ("cell", "first", 1.0, True),
        ("cell", "first", 2.0, True),
        ("cell", "first", 3.0, False),
        ("cell", "first", 4.0, False),
        ("cell", "first", 5.0, True),
        ("cell", "second", 1.0, True),
        ("cell", "second", 2.0, True),
    ]


# Dimensions.


def test_the_calendar_has_every_day_of_eighty_years(superuser: Cursor) -> None:
    superuser.execute("SELECT count(*), min(date_actual)::text, max(date_actual)::text FROM d_date")
    assert superuser.fetchone() == (29220, "1979-01-01", "2058-12-31")


def test_a_day_of_the_calendar(superuser: Cursor) -> None:
    superuser.execute("SELECT to_json(d)::jsonb FROM d_date AS d WHERE date_actual = '2016-01-03'")
    assert superuser.fetchone() == (
        {
            "date_dim_id": 20160103,
            "date_actual": "2016-01-03",
            "epoch": 1451779200,
            "day_suffix": "3rd",
            "day_name": "Sunday   ",
            "day_of_week": 7,
            "day_of_month": 3,
            "day_of_quarter": 3,
            "day_of_year": 3,
            "week_of_month": 1,
            "week_of_year": 53,
            "week_of_year_iso": "2015-W53-7",
            "month_actual": 1,
            "month_name": "January",
            "month_name_abbreviated": "Jan",
            "quarter_actual": 1,
            "quarter_name": "First",
            "year_actual": 2015,
            "first_day_of_week": "2015-12-28",
            "last_day_of_week": "2016-01-03",
            "first_day_of_month": "2016-01-01",
            "last_day_of_month": "2016-01-31",
            "first_day_of_quarter": "2016-01-01",
            "last_day_of_quarter": "2016-03-31",
            "first_day_of_year": "2016-01-01",
            "last_day_of_year": "2016-12-31",
            "mmyyyy": "012016",
            "mmddyyyy": "01032016  ",
            "is_std_weekend": True,
        },
    )


def test_the_minutes_of_a_day(superuser: Cursor) -> None:
    superuser.execute("SELECT * FROM d_time WHERE time_dim_id IN (0, 1159, 1200, 2359) ORDER BY 1")
    assert superuser.fetchall() == [
        (0, "00:00", 0, 0, "am", 0),
        (1159, "11:59", 11, 719, "am", 59),
        (1200, "12:00", 12, 720, "pm", 0),
        (2359, "23:59", 23, 1439, "pm", 59),
    ]
    assert scalar(superuser, "SELECT count(*) FROM d_time") == 1440
