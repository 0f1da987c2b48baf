"""Store what devices wait for, and the personal credentials of scripts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "device_grant",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_code", sa.String(length=8), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(length=75), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("expires", MOMENT, nullable=False),
        sa.Column("last_poll", MOMENT, nullable=True),
        sa.Column("denied", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["server_id"], ["server.id"], name=op.f("fk_device_grant_server_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["token_id"], ["token_history.id"], name=op.f("fk_device_grant_token_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_device_grant")),
        sa.UniqueConstraint("user_code", name=op.f("uq_device_grant_user_code")),
    )
    op.create_table(
        "api_credential",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=75), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("rights", sa.JSON(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("expires", MOMENT, nullable=False),
        sa.Column("last_used", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_api_credential_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_credential")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_credential_digest")),
    )
    op.create_index(op.f("ix_api_credential_user_id"), "api_credential", ["user_id"])


def downgrade() -> None:
    op.drop_table("api_credential")
    op.drop_table("device_grant")
