"""The query language: one meaning, written as JSON or as a line of shorthand, run in memory and in SQL.

Entry points: ``fields.FieldSet``, ``fields.DATA_FIELDS``, ``parse.parse``, ``matcher.matches``, ``sort.parse_sort``;
over a database ``sql.compile_sql``, ``tag_index``, ``funnel.funnel``, ``unknown_tags.unknown_tags``, ``scan.scan``.
The meaning is written down in docs/query.md. Knows no service, no table of one, and no HTTP.
"""
