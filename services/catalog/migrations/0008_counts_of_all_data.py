"""How many data there are in all, begun with those of each source; and an index of the sources that are out of use."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Serial

revision = "0008_counts_of_all_data"
down_revision = "0007_data_that_is_being_moved"


# None where there is nothing: a schema that was only made stays empty, as a backup that is brought back wants it.
BEGIN = "INSERT INTO tally (added) SELECT counted FROM (SELECT sum(data_count) AS counted FROM datasource) AS now WHERE counted <> 0"


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "datasource_out_of_use",
        "datasource",
        ["id"],
        unique=False,
        sqlite_where=sa.text("data_count > 0 AND (state <> 'Ready' OR destroyed_at IS NOT NULL)"),
        postgresql_where=sa.text("data_count > 0 AND (state <> 'Ready' OR destroyed_at IS NOT NULL)"),
    )
    op.execute(BEGIN)
