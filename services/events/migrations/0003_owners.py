"""Dead letters belong to somebody; the log is read by owner."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Word

revision = "0003_owners"
down_revision = "0002_keys_and_audit"


def upgrade() -> None:
    op.add_column("deadletter", sa.Column("owner", Word, server_default="", nullable=False))
    op.create_index("event_by_owner", "event", ["owner", "sequence"], unique=False)
