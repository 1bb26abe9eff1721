"""Which release this is. The same number stands in ``pyproject.toml``, and a test compares them."""

VERSION = "0.1.0"
