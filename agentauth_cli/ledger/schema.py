"""The tables of the ledger, version by version: each adds to the one before it."""

VERSION = 2
APPLICATION_ID = 0x61616C64  # "aald", so that file(1) and we can tell whose file it is

_FIRST = """
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

_SECOND = """
CREATE INDEX lease_charges_of ON lease_charges (counter, start);
CREATE INDEX leases_settled ON leases (ends_at) WHERE state = 'settled';
CREATE INDEX records_lease ON records (json_extract(record, '$.lease'));

-- what each lease took: first what was reserved for it, then what is known to have been used; and
-- what a program reported that has no lease, by the number of its record
CREATE TABLE usage (
    id TEXT PRIMARY KEY,
    principal TEXT NOT NULL,
    actor TEXT,
    provider TEXT NOT NULL,
    at INTEGER NOT NULL,
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    tokens_mark TEXT NOT NULL,
    cost INTEGER NOT NULL CHECK (cost >= 0),
    cost_mark TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_of ON usage (principal, provider, at);
CREATE INDEX usage_through ON usage (actor, provider, at) WHERE actor IS NOT NULL;

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    used_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
"""

ADDED = {1: _FIRST, 2: _SECOND}
"""What each version added. Nothing that stood before is changed by a later one."""


def statements(version: int) -> list[str]:
    """Return what a version added, as SQLite keeps it: without comments and semicolons."""
    parts = (one.partition("CREATE ") for one in ADDED[version].split(";"))
    return [f"{word}{rest}" for _, word, rest in parts if word]


def whole(version: int = VERSION) -> frozenset[str]:
    """Return all statements of a version, with those of the versions before it."""
    return frozenset(one for number in ADDED if number <= version for one in statements(number))
