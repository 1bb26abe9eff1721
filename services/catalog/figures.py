"""What the catalogue shows of itself at /metrics: claims, and how full the sources with a bound are."""
from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select

from services.catalog.models import claim_table, source_table
from shared.hosting.samples import Sample, Values
from shared.storage.database import Database
from shared.storage.patience import at_most

LOOK_S = 5.0
# A label for each source; more are left out.
MOST_SOURCES = 500


def look(db: Database) -> Sample:
    """Claims that stand, by kind; and of each source with a bound, which part of it is used."""
    def read() -> Mapping[str, Values]:
        with at_most(LOOK_S), db.reading() as connection:
            claims = connection.execute(select(claim_table.c.kind, func.count(), func.coalesce(func.sum(claim_table.c.amount), 0))
                                        .group_by(claim_table.c.kind)).all()
            sources = connection.execute(select(source_table.c.name, source_table.c.capacity, source_table.c.used).where(
                source_table.c.destroyed_at.is_(None)).order_by(source_table.c.name).limit(MOST_SOURCES)).all()
        filled = {(name, kind): float((used or {}).get(kind) or 0) / capacity[kind] for name, capacity, used in sources
                  for kind in ("bytes", "readers") if (capacity or {}).get(kind)}
        return {"edgemere_claims": {(kind,): float(count) for kind, count, _ in claims},
                "edgemere_claimed_bytes": {(): float(sum(amount for kind, _, amount in claims if kind == "bytes"))},
                "edgemere_source_filled_ratio": filled}

    return Sample({
        "edgemere_claims": ("Claims that stand, on bytes and on readers.", ("kind",)),
        "edgemere_claimed_bytes": ("Bytes that are claimed at all targets.", ()),
        "edgemere_source_filled_ratio": ("Which part of its capacity a source has in use, 0 to 1.", ("source", "kind")),
    }, read)
