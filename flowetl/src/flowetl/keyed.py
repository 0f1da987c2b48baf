"""Combine the deployment's key with a source to make pseudonyms."""

from functools import lru_cache

from psycopg2.extensions import cursor as Cursor

from flowetl.errors import ConfigurationError
from flowetl.identifiers import Form, Numbering
from flowetl.pseudonyms import Pseudonymiser, Reading, Spelling, UpstreamPseudonyms
from flowetl.records import Load
from flowetl.source import Source
from flowetl.spelled import Spelled

ALGORITHM = "HMAC-SHA-256"


def hasher(source: Source, key: bytes) -> Pseudonymiser:
    """Return the pseudonymiser of a source's identifiers."""
    given = source.identifiers
    subscriber = Spelling("text", given.pattern) if given.pattern else Spelling(*_spelled(given.msisdn))
    counterpart = subscriber
    if given.msisdn_counterpart is not None:
        counterpart = Spelling(*_spelled(given.msisdn_counterpart))
    elif subscriber.form == "imsi":
        # No one dials a SIM.
        counterpart = Spelling()
    numbering = Numbering(given.calling_code, given.trunk_prefix, given.national_lengths)
    return _hasher_of(given.keyed, key, Reading(numbering, subscriber, counterpart, given.filler))


def _spelled(given: Spelled) -> tuple[Form, str]:
    return given.form, given.pattern


@lru_cache(maxsize=4)
def _hasher_of(keyed: bool, key: bytes, reading: Reading) -> Pseudonymiser:
    """Return this process's pseudonymiser for a key, shared by all sources.

    Most subscribers of a day are those of the day before, in every source.
    """
    return (Pseudonymiser if keyed else UpstreamPseudonyms)(key, reading)


def require_known_key(cursor: Cursor, load: Load) -> None:
    """Check that a key id still stands for the same secret.

    Raises
    ------
    ConfigurationError
        When it does not: every subscriber would be split in two, unseen.
    """
    if not load.source.identifiers.keyed:
        return
    name = load.source.identifiers.key_id
    cursor.execute(
        # An upstream source's key is unknown: its id has no fingerprint and says nothing about ours.
        "SELECT key_id FROM etl.pseudonym_epochs WHERE algorithm = %s AND split_part(key_id, ':', 1) = %s "
        "AND key_id <> %s",
        (ALGORITHM, name, load.key_id),
    )
    if cursor.fetchone():
        raise ConfigurationError(
            f"FLOWETL_PSEUDONYM_KEY is not the secret that key id {name!r} stood for: days under it are loaded already. "
            "Put the old secret back, or give identifiers.key_id a new value to begin a new epoch"
        )
