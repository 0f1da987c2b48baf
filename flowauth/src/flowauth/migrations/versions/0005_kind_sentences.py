"""Store the sentences of a server's description about its kinds, for forms."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("server", sa.Column("kind_sentences", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("server") as table:
        table.drop_column("kind_sentences")
