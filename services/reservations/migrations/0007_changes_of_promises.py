"""Changes of promises."""

import sqlalchemy as sa
from alembic import op

revision = "0007_changes_of_promises"
down_revision = "0006_promises"


def upgrade() -> None:
    op.add_column("budget", sa.Column("promised", sa.BigInteger(), nullable=True))
