"""May they, and under what limits. Pure: no file, clock, network or database."""
