"""Lists of a closed class: filters, queries, order, pages and names, one meaning for every service.

Entry points: ``Lister`` (``page``, ``answer``, ``resolve``), ``envelope``, ``Estimate``, ``fieldset``, ``resolve``.
Reads only; knows no service, no Nameko and no HTTP.
"""
from shared.lists.columns import Columns, fieldset
from shared.lists.lister import Estimate, Lister, envelope
from shared.lists.naming import resolve

__all__ = ["Columns", "Estimate", "Lister", "envelope", "fieldset", "resolve"]
