"""Replace the key that encrypts stored tokens, second factors and signing keys."""

from __future__ import annotations

from cryptography.fernet import InvalidToken
from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import audit
from flowauth.audit import CONSOLE
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import SigningKey, Token, TwoFactor
from flowauth.services import Services


@transaction
def encrypt_again(database: Session, services: Services) -> int:
    """Encrypt what is stored with the first key; return the number of secrets.

    Raises
    ------
    Refusal
        When the key of one of them is not among those given: then all stay as they are.
    """
    tokens = database.scalars(select(Token).with_for_update()).all()
    factors = database.scalars(select(TwoFactor).with_for_update()).all()
    private = database.scalars(
        select(SigningKey).where(SigningKey.encrypted_private.is_not(None)).with_for_update()
    ).all()
    rotate = services.settings.fernet.rotate
    try:
        for token in tokens:
            token.encrypted_token = rotate(token.encrypted_token).decode()
        for factor in factors:
            factor.encrypted_secret = rotate(factor.encrypted_secret).decode()
        for key in private:
            key.encrypted_private = rotate(str(key.encrypted_private)).decode()
    except InvalidToken:
        raise Refusal(
            gettext(
                "A stored token, second factor or signing key needs a key that FLOWAUTH_FERNET_KEY does not hold."
            ),
            409,
        ) from None
    audit.record(
        database,
        CONSOLE,
        "storage.encrypted_again",
        "",
        tokens=len(tokens),
        two_factor=len(factors),
        signing_keys=len(private),
    )
    return len(tokens) + len(factors) + len(private)
