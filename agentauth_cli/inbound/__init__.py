"""Proof in, `Principal` out: tokens, keys of issuers, the OS account, and which of them counts."""
