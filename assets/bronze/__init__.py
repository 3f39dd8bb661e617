"""Bronze: events as received."""
