"""Order as given."""

import sqlalchemy as sa
from alembic import op

revision = "0005_order_as_given"
down_revision = "0004_rights_of_owners"


def upgrade() -> None:
    op.add_column("datareference", sa.Column("query_as_given", sa.Text(), nullable=True))
    op.add_column("datarequest", sa.Column("query_as_given", sa.Text(), nullable=True))
    op.add_column("datarequest", sa.Column("group_as_given", sa.Text(), nullable=True))
