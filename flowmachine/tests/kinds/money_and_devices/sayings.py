"""What readers expect of the summaries of kinds about money and devices."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from psycopg2.extras import execute_values

from ..sayings import WINDOW, says
from ..world import World, drawn

says(
    "handset",
    "A characteristic of each subscriber's handset.",
    {"ann": [("Feature",)], "bob": [("Smart",)]},
    # Ann changed her phone.
    world=drawn(
        """
        subscriber | time    | cell | tac
        ann        | 1 10:00 | in-b | 11111111
        ann        | 2 10:00 | in-b | 33333333
        bob        | 1 10:00 | in-b | 22222222
        """
    ),
)
TOPPED_UP = drawn(
    """
    subscriber | time    | type   | recharge_amount | pre_event_balance | post_event_balance
    ann        | 1 10:00 | topups | 10              | 0                 | 10
    ann        | 2 10:00 | topups | 20              | 4                 | 24
    bob        | 1 10:00 | topups | 5               | 1                 | 6
    """
)
says(
    "topup_amount",
    "A statistic of the amounts of each subscriber's top-ups.",
    {"ann": [(15.0,)], "bob": [(5.0,)]},
    world=TOPPED_UP,
    statistic="avg",
)
says(
    "topup_balance",
    "A statistic of each subscriber's balance, weighted by how long it was held.",
    # Ten hours before the first top-up, a day between two, at the mean of 10 and 4, and the rest of 72 hours.
    {"ann": [((10 * 0 + 24 * 7 + 38 * 24) / 72,)], "bob": [((10 * 1 + 62 * 6) / 72,)]},
    world=TOPPED_UP,
    end_date="2016-01-04",
    statistic="avg",
)
says(
    "mds_volume",
    "Take a statistic of the volumes, in megabytes, of each subscriber's sessions.",
    {"ann": [(7.0,)], "bob": [(1.0,)]},
    world=drawn(
        """
        subscriber | time    | type | volume_total
        ann        | 1 10:00 | mds  | 2.5
        ann        | 2 10:00 | mds  | 4.5
        bob        | 1 10:00 | mds  | 1
        """
    ),
    **WINDOW,
)


def payments(cursor: Any) -> None:
    """Let 17 people at b pay ten to as many at B, and 18 at B pay five to themselves.

    The first is on Friday, the second on Saturday.
    """
    paid = [("payer", n, "payee", n, 10, "in-b", "in-B", 1) for n in range(17)]
    paid += [("saver", n, "saver", n, 5, "in-B", "in-B", 2) for n in range(18)]
    names = {f"{who}{n}" for payer, n, payee, m, *_ in paid for who, n in ((payer, n), (payee, m))}
    numbers = {name: number for number, name in enumerate(sorted(names))}
    execute_values(
        cursor,
        "INSERT INTO dfs.subscribers (id, msisdn) VALUES %s",
        [(number, name) for name, number in numbers.items()],
    )
    noon = datetime(2015, 12, 31, 12)
    execute_values(
        cursor,
        "INSERT INTO dfs.transactions (id, amount, commission, fee, discount, timestamp) VALUES %s",
        [(id, payment[4], 0, 0, 0, noon + timedelta(days=payment[-1])) for id, payment in enumerate(paid)],
    )
    execute_values(
        cursor,
        "INSERT INTO dfs.transactions_metadata (transaction_id, subscriber_id, cell_id, cell_version) VALUES %s",
        [
            (id, numbers[f"{who}{n}"], cell, 0)
            for id, (payer, n, payee, m, _, from_cell, to_cell, _) in enumerate(paid)
            for who, n, cell in ((payer, n, from_cell), (payee, m, to_cell))
        ],
    )


says(
    "dfs_metric_total_amount",
    "A mobile money total by day, at the areas of both parties, end date included.",
    # What 17 paid counts where they were and where they paid to; savers are both parties.
    [(date(2016, 1, 1), "B", 170), (date(2016, 1, 1), "b", 170), (date(2016, 1, 2), "B", 180)],
    world=World([]),
    more=payments,
    end_date="2016-01-02",
)
