"""Lists by owner walk an index."""

from alembic import op

revision = "0004_lists_by_owner"
down_revision = "0003_budgets"


def upgrade() -> None:
    op.create_index("datareservation_by_owner", "datareservation", ["owner", "id"], unique=False)
