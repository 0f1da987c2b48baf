"""Check time-based codes and single-use backup codes.

Time-based codes use SHA-1, six digits and 30 seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp
import segno

STEP = 30
BACKUP_CODES = 16
BACKUP_LENGTH = 10
# Letters and digits that are not easily confused.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def new_secret() -> str:
    """Return a new base32 secret."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, username: str, issuer: str) -> str:
    """Return the ``otpauth`` address that an authenticator app reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer)


def qr_svg(uri: str) -> str:
    """Draw the address as inline SVG; dark modules use the current text colour."""
    return segno.make(uri, error="m").svg_inline(
        scale=5, border=2, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )


def matching_step(secret: str, code: str, at: datetime, window: int) -> int | None:
    """Return the 30-second step of a code within ``window`` of now, or None.

    The caller stores the step, so that the same step can be refused a second time.
    """
    totp = pyotp.TOTP(secret)
    present = int(at.timestamp()) // STEP
    found = None
    for step in range(present - window, present + window + 1):
        if hmac.compare_digest(totp.generate_otp(step), code):
            found = step
    return found


def new_backup_codes() -> list[str]:
    """Return sixteen codes of ten letters and digits, grouped as ``abcde-fghjk``."""
    return [
        _group("".join(secrets.choice(_ALPHABET) for _ in range(BACKUP_LENGTH))) for _ in range(BACKUP_CODES)
    ]


def _group(code: str) -> str:
    return f"{code[:5]}-{code[5:]}"


def plain(code: str) -> str:
    """Strip separators between a code's groups, and what is in no code."""
    return "".join(character for character in code.lower() if character.isascii() and character.isalnum())


def backup_digest(key: str, user_id: int, code: str) -> str:
    """Return the keyed digest of a backup code.

    The digest is searchable, so that a check does not need sixteen hashes.
    """
    message = f"backup:{user_id}:{plain(code)}".encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()
