"""Store auditors, and which servers a user administers."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("is_auditor", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "server_administrators",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_server_administrators_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["server.id"], name=op.f("fk_server_administrators_server_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "server_id", name=op.f("pk_server_administrators")),
    )


def downgrade() -> None:
    op.drop_table("server_administrators")
    with op.batch_alter_table("user") as table:
        table.drop_column("is_auditor")
