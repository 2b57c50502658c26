"""The tables of the ledger, and the one version of them that this program knows."""

VERSION = 1
APPLICATION_ID = 0x61616C64  # "aald", so that file(1) and we can tell whose file it is

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- times are microseconds since 1970, amounts micro-dollars, tokens, requests or leases
CREATE TABLE counters (
    counter TEXT NOT NULL,
    start INTEGER NOT NULL,
    spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    PRIMARY KEY (counter, start)
) STRICT, WITHOUT ROWID;

-- arrival: the theoretical arrival time, nanoseconds since 1970
CREATE TABLE rates (counter TEXT PRIMARY KEY, arrival INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (
        state IN ('pending', 'active', 'undelivered', 'settled', 'released')
    ),
    principal TEXT NOT NULL,
    actor TEXT,
    tool TEXT NOT NULL,
    provider TEXT NOT NULL,
    environment TEXT NOT NULL,
    resource TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    process TEXT NOT NULL,
    credential_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_open ON leases (ends_at) WHERE state NOT IN ('settled', 'released');

CREATE TABLE lease_charges (
    lease TEXT NOT NULL,
    counter TEXT NOT NULL,
    start INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (lease, counter, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE switches (
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    at INTEGER,
    until INTEGER,
    PRIMARY KEY (target, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (seq INTEGER PRIMARY KEY, record TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE INDEX records_principal ON records (json_extract(record, '$.principal'));

-- refusals at the door that were counted and not recorded, by who knocked
CREATE TABLE refusals (
    peer TEXT PRIMARY KEY,
    recorded_at INTEGER NOT NULL,
    unrecorded INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


def statements() -> frozenset[str]:
    """Return the statements of TABLES as SQLite keeps them: without comments and semicolons."""
    parts = (one.partition("CREATE ") for one in TABLES.split(";"))
    return frozenset(f"{word}{rest}" for _, word, rest in parts if word)
