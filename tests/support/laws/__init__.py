"""Suites of promises, each run against every adapter that makes them."""
