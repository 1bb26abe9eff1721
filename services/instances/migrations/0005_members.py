"""Members."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Word

revision = "0005_members"
down_revision = "0004_undo"


def upgrade() -> None:
    op.add_column("datainstance", sa.Column("member", Word, nullable=True))
