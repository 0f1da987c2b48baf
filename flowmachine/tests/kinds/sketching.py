"""Define sketches of subscribers in plain Python."""

from __future__ import annotations

from collections.abc import Iterable

from flowmachine.sql.sketches import SKETCH


def signed(bits: int) -> int:
    return bits - 2**64 if bits >= 2**63 else bits


def defined(keys: Iterable[int]) -> dict[str, int]:
    """The seven numbers, as the definition says them."""
    found = dict.fromkeys(SKETCH, 0)
    for key in keys:
        bits = key % 2**64
        found["whole"] ^= bits
        found[f"part{bits % 256 // 64}"] ^= 1 << (bits % 64)
        if bits >> 8 & 0b111111 == 0:
            found["thin64"] ^= 1 << ((bits >> 20) % 64)
        if bits >> 8 & 0b111111111111 == 0:
            found["thin4096"] ^= 1 << ((bits >> 20) % 64)
    return {name: signed(number) for name, number in found.items()}
