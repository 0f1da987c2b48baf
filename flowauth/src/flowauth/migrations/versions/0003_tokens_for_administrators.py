"""Store a token's last use and reason of revocation.

Indexes find running tokens by expiry and by role.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("token_history", sa.Column("revoked_because", sa.String(length=300), nullable=True))
    op.add_column("token_history", sa.Column("last_used", MOMENT, nullable=True))
    op.create_index(op.f("ix_token_history_expiry"), "token_history", ["expiry"])
    op.create_index("ix_tokens_with_roles_role_id", "tokens_with_roles", ["role_id"])
    op.create_index("ix_users_with_roles_role_id", "users_with_roles", ["role_id"])
    op.create_index("ix_scopes_in_role_role_id", "scopes_in_role", ["role_id"])


def downgrade() -> None:
    op.drop_index("ix_scopes_in_role_role_id", table_name="scopes_in_role")
    op.drop_index("ix_users_with_roles_role_id", table_name="users_with_roles")
    op.drop_index("ix_tokens_with_roles_role_id", table_name="tokens_with_roles")
    op.drop_index(op.f("ix_token_history_expiry"), table_name="token_history")
    with op.batch_alter_table("token_history") as table:
        table.drop_column("last_used")
        table.drop_column("revoked_because")
