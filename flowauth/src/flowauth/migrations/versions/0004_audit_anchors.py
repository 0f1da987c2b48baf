"""Store where the audit trail begins and how far it was verified.

Only events before the beginning may be deleted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

POSTGRESQL_GUARD = """
DROP TRIGGER audit_event_is_append_only ON audit_event;
CREATE TRIGGER audit_event_is_append_only BEFORE UPDATE OR TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE FUNCTION refuse_audit_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.id > (SELECT event_id FROM audit_anchor WHERE id = 1) THEN
        RAISE EXCEPTION 'the audit trail is append-only';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER audit_event_is_never_deleted BEFORE DELETE ON audit_event
FOR EACH ROW EXECUTE FUNCTION refuse_audit_deletion()
"""
POSTGRESQL_OLD_GUARD = """
DROP TRIGGER audit_event_is_never_deleted ON audit_event;
DROP FUNCTION refuse_audit_deletion();
DROP TRIGGER audit_event_is_append_only ON audit_event;
CREATE TRIGGER audit_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
"""
SQLITE_GUARD = (
    "DROP TRIGGER audit_event_is_never_deleted",
    """CREATE TRIGGER audit_event_is_never_deleted BEFORE DELETE ON audit_event
    WHEN OLD.id > (SELECT event_id FROM audit_anchor WHERE id = 1)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
)
SQLITE_OLD_GUARD = (
    "DROP TRIGGER audit_event_is_never_deleted",
    """CREATE TRIGGER audit_event_is_never_deleted BEFORE DELETE ON audit_event
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
)


def upgrade() -> None:
    anchor = op.create_table(
        "audit_anchor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_anchor")),
    )
    for identity in (1, 2):
        op.execute(anchor.insert().values(id=identity, event_id=0, length=0, hash="0" * 64))
    op.create_index(op.f("ix_audit_event_at"), "audit_event", ["at"])
    op.create_index(op.f("ix_audit_event_actor"), "audit_event", ["actor"])
    op.create_index(op.f("ix_audit_event_subject"), "audit_event", ["subject"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRESQL_GUARD)
    else:
        for statement in SQLITE_GUARD:
            op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRESQL_OLD_GUARD)
    else:
        for statement in SQLITE_OLD_GUARD:
            op.execute(statement)
    for column in ("subject", "actor", "at"):
        op.drop_index(op.f(f"ix_audit_event_{column}"), table_name="audit_event")
    op.drop_table("audit_anchor")
