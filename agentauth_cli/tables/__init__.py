"""Strict reading of TOML: every key is defined, every error is found, each with its line."""
