"""Messages between services: the port, its two adapters, the relay and the dead letters. Knows no database."""
