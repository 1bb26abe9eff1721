"""What every service may stand on: words, nets, storage, bus, sources. Imports nothing above it."""
