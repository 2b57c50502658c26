"""Short-lived, narrowed, audited credentials for AI agents."""

__version__ = "0.1.0"
