"""Asset checks built from the contracts by one factory."""
