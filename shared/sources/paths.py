"""Names of files as text, and back, without loss; and where a copy goes. Touches no file system.

A path in this product is relative, POSIX, and text that JSON, SQLite and PostgreSQL can hold. File names are bytes. So:

- a name that is UTF-8 is written as it is (spaces, quotes, newlines and all), except that a backslash is doubled;
- each byte that is not UTF-8 is written as a backslash, ``x`` and two hexadecimal digits: ``caf\\xe9.txt``.

``to_native`` undoes it exactly. There is no NUL in either form.
"""
