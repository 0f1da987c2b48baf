"""Hold what readers of summaries expect to a world counted by hand.

A summary is all that most people read of a kind. A saying repeats it, word for word, with the rows that somebody
expects who knows the sentence and the story. The specification is the shortest on the kind's page, with the fields
named. A changed summary fails until somebody has read it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowmachine.queries.catalogue import all_kinds
from flowmachine.queries.examples import example

from .oracle import metres
from .world import World, drawn

#: Groups of the story: numbers of which no two sums of a few are equal.
STAY, LEAVE, RETURN, QUIET, OTHERS = 16, 17, 19, 18, 23

#: On Friday all but the others are at b. Then some leave for B, some come back on Sunday, and the quiet fall silent.
STORY = drawn(
    """
    subscriber    | time    | cell  | counterpart
    stay1..16     | 1 10:00 | in-b  | x
    stay1..16     | 2 10:00 | in-b  | x
    stay1..16     | 3 10:00 | in-b  | x
    leave1..17    | 1 10:00 | in-b  | x
    leave1..17    | 2 10:00 | in-B  | x
    leave1..17    | 3 10:00 | in-B  | x
    return1..19   | 1 10:00 | in-b  | x
    return1..19   | 2 10:00 | in-B  | x
    return1..19   | 3 10:00 | in-b  | x
    quiet1..18    | 1 10:00 | in-b  | x
    others1..23   | 1 10:00 | in-B  | x
    others1..23   | 1 11:00 | in-B  | x
    others1..23   | 2 10:00 | in-B  | x
    others1..23   | 3 10:00 | in-B  | x
    others1..23   | 3 11:00 | meets | x
    """
)

#: Ann calls Bob twice and writes to Cat by night; Bob comes to where Ann is and calls her.
TALKS = drawn(
    """
    subscriber | time    | id | type  | outgoing | counterpart | duration | cell
    ann        | 1 10:00 | e1 | calls | out      | bob         | 30       | in-b
    bob        | 1 10:00 | e1 | calls | in       | ann         | 30       | in-B
    ann        | 1 11:00 | e2 | calls | out      | bob         | 90       | in-b
    bob        | 1 11:00 | e2 | calls | in       | ann         | 90       | in-B
    bob        | 1 12:00 | e3 | calls | out      | ann         | 60       | in-b
    ann        | 1 12:00 | e3 | calls | in       | bob         | 60       | in-b
    ann        | 1 22:00 | e4 | sms   | out      | cat         | -        | in-b
    cat        | 1 22:00 | e4 | sms   | in       | ann         | -        | in-b
    """
)

#: Points of the cells in b and in B, and kilometres between them.
POINT_B, POINT_OTHER = (84.25, 27.25), (85.5, 27.5)
APART = metres(POINT_B, POINT_OTHER) / 1000
#: Kilometres between the two cells in B.
NEAR = metres(POINT_OTHER, (85.5, 27.25)) / 1000

WINDOW: dict[str, Any] = {"start_date": "2016-01-01", "end_date": "2016-01-04"}

Row = tuple[Any, ...]
#: Rows; or what follows the subscriber, by group of people; or a check of rows.
Expected = list[Row] | Mapping[str, list[Row]] | Callable[[list[Row]], object]


@dataclass(frozen=True)
class Saying:
    """Hold a kind's summary and the rows that a reader of it expects."""

    kind: str
    sentence: str
    expected: Expected
    fields: dict[str, Any]
    world: World
    #: Rows that are no events, added to the database.
    more: Callable[[Any], None] | None = None

    def spec(self) -> dict[str, Any]:
        """Return the shortest specification on the kind's page with the saying's fields."""
        if all_kinds()[self.kind].direct:
            return {"query_kind": self.kind, **self.fields}
        return example(self.kind, **self.fields)

    def differs(self, rows: list[Row], equal: Callable[[Any, Any], bool]) -> str | None:
        """Say how rows differ from those expected, or None."""
        expected = self.expected
        if callable(expected):
            return None if expected(rows) else f"found {rows}"
        if isinstance(expected, list):
            return _difference("rows", rows, expected, equal)
        people = sorted({event.subscriber for event in self.world.events})
        own = ((name, [row[1:] for row in rows if row[0] == name]) for name in people)
        told = (_difference(name, found, expected.get(_group(name), []), equal) for name, found in own)
        return next(filter(None, told), None)


def _group(name: str) -> str:
    return name.rstrip("0123456789")


def _difference(
    what: str, found: list[Row], expected: list[Row], equal: Callable[[Any, Any], bool]
) -> str | None:
    """Say how rows differ; summaries say nothing of their order."""
    same = equal(sorted(found, key=repr), sorted(expected, key=repr))
    return None if same else f"{what}: found {found}, expected {expected}"


#: The saying of each kind, added by the modules of its theme.
SAYINGS: dict[str, Saying] = {}


def says(
    kind: str,
    sentence: str,
    expected: Expected,
    *,
    world: World = STORY,
    more: Callable[[Any], None] | None = None,
    **fields: Any,
) -> None:
    """Add a kind's saying, with fields of its specification other than the example's.

    ``more`` adds rows that are no events, by a cursor.
    """
    assert kind not in SAYINGS, f"{kind} has a saying"
    SAYINGS[kind] = Saying(kind, sentence, expected, fields, world, more)
