"""Add the list of revoked tokens.

The list is separate, because tokens are deleted with their user or server.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    revocation = op.create_table(
        "revocation",
        sa.Column("jti", sa.String(length=36), nullable=False),
        sa.Column("expiry", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_revocation")),
    )
    token = sa.table("token_history", sa.column("jti"), sa.column("expiry"), sa.column("revoked_at"))
    revoked = sa.select(token.c.jti, token.c.expiry).where(token.c.revoked_at.is_not(None))
    op.execute(revocation.insert().from_select(["jti", "expiry"], revoked))


def downgrade() -> None:
    op.drop_table("revocation")
