"""Rows, and what is said about them: one transaction for both. Knows no broker and no HTTP."""
