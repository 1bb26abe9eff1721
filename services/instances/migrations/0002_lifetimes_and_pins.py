"""Lifetimes and pins."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json, Stamp

revision = "0002_lifetimes_and_pins"
down_revision = "0001_initial"


def upgrade() -> None:
    op.add_column("datainstance", sa.Column("lifetime", sa.Float(), nullable=True))
    op.add_column("datainstance", sa.Column("warn_at", Stamp, nullable=True))
    op.add_column("datainstance", sa.Column("pin", Json, nullable=True))
    op.add_column("datainstance", sa.Column("pinned_until", Stamp, nullable=True))
    op.add_column("datainstance", sa.Column("used_at", Stamp, nullable=True))
    op.add_column("datainstance", sa.Column("alone", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("datainstance", sa.Column("undo_until", Stamp, nullable=True))
    op.create_index("datainstance_by_end", "datainstance", ["expires_at"], unique=False)
    op.create_index("datainstance_by_pin", "datainstance", ["pinned_until"], unique=False)
    op.create_index("datainstance_by_warning", "datainstance", ["warn_at"], unique=False)
