"""Parse scopes and nest them as the tree of the role form.

``run`` is a simple scope. ``admin3:flows:daily_location`` is a complex scope: unit, submitted kind, kind
within.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
LONGEST = 512
#: Pseudo-scope for kinds in subsets: any scope for the kind satisfies this, whatever its unit and top kind.
ANYWHERE = "*:*:"
NONSPATIAL = "nonspatial"
#: Scope for values that may be a single subscriber's own.
EXTREMES = "extremes"


def is_scope(text: str) -> bool:
    """Return whether a text is a scope or a subset's pseudo-scope."""
    try:
        Scope(text.replace(ANYWHERE, "any:any:", 1) if text.startswith(ANYWHERE) else text)
    except ValueError:
        return False
    return True


def lacking(held: Collection[str], needed: Iterable[str]) -> set[str]:
    """Return the needed scopes that the held ones do not grant, as an API server does."""
    kinds = {parts[2] for one in held if len(parts := one.split(":")) == 3}
    return {
        one
        for one in needed
        if one not in held and not (one.startswith(ANYWHERE) and one.removeprefix(ANYWHERE) in kinds)
    }


@dataclass(frozen=True, order=True)
class Scope:
    """Hold one scope, checked on construction.

    Raises
    ------
    ValueError
        When the text is neither one part nor three parts joined by ``:``.
    """

    text: str

    def __post_init__(self) -> None:
        parts = self.text.split(":")
        if (
            len(self.text) > LONGEST
            or len(parts) not in (1, 3)
            or not all(_PART.fullmatch(part) for part in parts)
        ):
            raise ValueError(f"'{self.text[:80]}' is not a scope: it must be one word, or unit:kind:kind.")

    @property
    def parts(self) -> tuple[str, ...]:
        """Return one or three parts.

        Parts are compared whole, because a prefix is no match.
        """
        return tuple(self.text.split(":"))

    def __str__(self) -> str:
        return self.text


class State(Enum):
    """Say how much below a branch is chosen."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


@dataclass
class Branch:
    """Hold leaves and branches, each by its last part."""

    label: str
    path: str
    branches: dict[str, Branch] = field(default_factory=dict)
    leaves: dict[str, Scope] = field(default_factory=dict)
    total: int = 0
    chosen: int = 0

    @property
    def state(self) -> State:
        if self.chosen == 0:
            return State.NONE
        return State.ALL if self.chosen == self.total else State.SOME


class ScopeTree:
    """Nest scopes by part; count scopes and chosen scopes at each branch.

    Parameters
    ----------
    offered
        Scopes to show; a repeated one is an error.
    chosen
        Those of them that are ticked.

    Raises
    ------
    ValueError
        When a scope is malformed, offered twice, or chosen without being offered.
    """

    def __init__(self, offered: Iterable[str], chosen: Collection[str] = ()) -> None:
        self.root = Branch("", "")
        self.chosen = frozenset(chosen)
        seen: set[str] = set()
        for scope in sorted(Scope(text) for text in offered):
            if scope.text in seen:
                raise ValueError(f"Scope {scope} is offered twice.")
            seen.add(scope.text)
            self._add(scope)
        if stray := self.chosen - seen:
            raise ValueError(f"Scope {min(stray)} is chosen but not offered.")

    def _add(self, scope: Scope) -> None:
        ticked = scope.text in self.chosen
        branch = self.root
        above = [branch]
        for depth, part in enumerate(scope.parts[:-1], start=1):
            path = ":".join(scope.parts[:depth])
            branch = branch.branches.setdefault(part, Branch(part, path))
            above.append(branch)
        branch.leaves[scope.parts[-1]] = scope
        for node in above:
            node.total += 1
            node.chosen += ticked

    def __iter__(self) -> Iterator[Scope]:
        yield from _leaves(self.root)

    def __len__(self) -> int:
        return self.root.total


def _leaves(branch: Branch) -> Iterator[Scope]:
    yield from branch.leaves.values()
    for below in branch.branches.values():
        yield from _leaves(below)
