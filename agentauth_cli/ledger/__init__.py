"""Leases, counters and the audit chain, in one transaction a step."""
