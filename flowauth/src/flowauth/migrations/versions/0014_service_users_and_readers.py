"""Mark service users, and store who reads the reports of which recipients."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("is_service", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "report_reader",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("recipients", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_report_reader_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "recipients", name=op.f("pk_report_reader")),
    )
    op.create_index(op.f("ix_report_reader_recipients"), "report_reader", ["recipients"])


def downgrade() -> None:
    op.drop_table("report_reader")
    with op.batch_alter_table("user") as table:
        table.drop_column("is_service")
