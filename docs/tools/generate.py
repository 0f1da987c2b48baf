"""Write the pages of reference: ``python docs/tools/generate.py``.

With ``--check`` nothing is written; the exit status says whether the committed pages are up to date.
"""

from __future__ import annotations

import sys

from reference_pages import pages


def main(arguments: list[str]) -> int:
    stale = [(path, text) for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path, _ in stale:
            sys.stderr.write(f"{path} is out of date; run docs/tools/generate.py.\n")
        return 1 if stale else 0
    for path, text in stale:
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
