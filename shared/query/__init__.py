"""The query language: one meaning, written as JSON or as a line of shorthand, run in memory and in SQL.

Entry points: ``parse``, ``plain_name``, ``matches``, ``parse_sort``, ``FieldSet``, ``Field``, ``DATA_FIELDS``, ``Query`` here;
over a database, which these do not import: ``sql.compile_sql`` and ``sql.plan``, ``mapping.TableMapping``,
``tag_index.tag_index_table`` and ``tag_rows``, ``scan.scan``, ``funnel.funnel``, ``unknown_tags.unknown_tags``,
``ordering.order_by``. The meaning is written down in docs/query.md. Knows no service, no table of one, and no HTTP.
"""
from shared.query.fields import DATA_FIELDS, Field, FieldSet
from shared.query.limits import Limits
from shared.query.matcher import matches
from shared.query.parse import parse, plain_name
from shared.query.sort import parse_sort
from shared.query.tree import Query
from shared.query.values import storable

__all__ = ["DATA_FIELDS", "Field", "FieldSet", "Limits", "Query", "matches", "parse", "parse_sort", "plain_name", "storable"]
