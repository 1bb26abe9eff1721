"""What a caller may not see is left out by the indexes, however much of it there is."""
from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import event, text

from services.catalog import access, models, search
from shared.kernel.context import Context

MANY = 6000
WHOLE = re.compile(r"Seq Scan on data\b|^SCAN data\b(?!.*INDEX)")
RULES = [{"when": "level:high", "owners": ["ada"]}, {"when": "level:team", "owners": ["bob"]}]


@contextmanager
def asked(engine):
    """The questions to the database meanwhile, as (statement, parameters)."""
    found = []

    def note(connection, cursor, statement, parameters, context, executemany):
        if statement.lstrip().startswith(("SELECT", "WITH")):
            found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def steps(engine, statement, parameters) -> list[str]:
    """How the database would find the answer, line by line."""
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        return [str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters)]


def test_a_question_under_rules_of_access_reads_through_no_table_of_data(catalogue):
    source = catalogue.source()
    catalogue.holding(source, *({
        "path": f"runs/{n}.nii", "size": n, "tags": {"batch": f"b{n // 4}", "level": ("high", "team", "open")[n % 3]}} for n in range(MANY)))
    with catalogue.db.transaction(catalogue.uses.context) as uow:
        access.change(uow, uow.get(models.SOURCE, source["id"]), access.check(RULES))
    with catalogue.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    catalogue.uses = replace(catalogue.uses, context=Context(owner="bob", roles=("DataScientist",)))
    for expression, seen in (("batch:b500", 3), ("batch:b500 size>0", 3), ("name:2003.nii", 1), ("name:2001.nii", 0), ("name:2002.nii level:open", 0)):
        with asked(catalogue.engine) as questions:
            answer = catalogue.call("query", expression=expression)
        assert answer["total"] == seen or len(answer["items"]) == seen, (expression, answer["total"])
        assert answer["funnel"]["hidden_by_access"] == MANY // 3
        read_through = [
            (step, statement) for statement, parameters in questions for step in steps(catalogue.engine, statement, parameters)
            # Whether there is any ends at the first.
            if WHOLE.search(step) and not statement.startswith("SELECT EXISTS")]
        assert read_through == [], expression


def test_queries_that_are_asked_together_are_answered_as_alone_each_for_its_own_caller(catalogue):
    source = catalogue.source()
    catalogue.holding(source, *({"path": f"{n}.nii", "size": n, "tags": {"level": ("high", "team", "open")[n % 3]}} for n in range(30)))
    catalogue.holding(catalogue.source("idle"), {"path": "idle.nii"})
    catalogue.call("datasource_suspend", id="idle")
    with catalogue.db.transaction(catalogue.uses.context) as uow:
        access.change(uow, uow.get(models.SOURCE, source["id"]), access.check(RULES))
    asked_for = ({"level": "high"}, {"size": {"$gte": 0}, "level": "team"}, {}, {"name": "none"})
    questions = [(expression, who) for who in ("ada", "bob", "cy") for expression in asked_for]
    together = search.query_all(catalogue.uses, [expression for expression, _ in questions], 7, [(who, ["DataScientist"]) for _, who in questions])
    own = catalogue.uses
    alone = [search.query(replace(own, context=Context(who, ("DataScientist",))), {"expression": expression, "limit": 7}) for expression, who in questions]
    assert together == alone
    # The rules and what is out of use made a difference.
    assert len({page["total"] for page in together}) > 3 and all(page["warnings"] for page in together)
