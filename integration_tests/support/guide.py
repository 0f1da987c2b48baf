"""Read the commands of the operators' guide."""

from __future__ import annotations

import re
from pathlib import Path

from layout import CHECKOUT


def blocks(page: str, heading: str, language: str = "bash", tree: Path = CHECKOUT) -> list[str]:
    """Return the code blocks between a heading of a page and the next one."""
    text = (tree / "docs" / "operators" / page).read_text()
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def in_containers(page: str, heading: str, tree: Path = CHECKOUT) -> str:
    """Return the compose commands under a heading, for a shell without terminal."""
    (block,) = (each for each in blocks(page, heading, tree=tree) if "docker compose" in each)
    return without_terminal(block)


def without_terminal(commands: str) -> str:
    """Return compose commands for a shell without terminal."""
    return re.sub(r"^(docker compose (?:exec|run)) (?!.*-T )", r"\1 -T ", commands, flags=re.MULTILINE)
