"""Make room for request ids that begin with a word of the caller."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _resize(length: int) -> None:
    # SQLite checks no length, and only a new table, without the triggers that guard the trail, could change it.
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("audit_event", "request_id", type_=sa.String(length), existing_nullable=False)


def upgrade() -> None:
    _resize(100)


def downgrade() -> None:
    _resize(36)
