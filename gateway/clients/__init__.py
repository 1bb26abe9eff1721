"""Clients for programs, made from the action table: ``js`` and ``python``. ``.ci/generate`` writes their files anew."""
