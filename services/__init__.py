"""The domain services. Each imports ``shared`` only, never another service."""
