"""The nouns: what is handed from step to step. Values only; nothing here decides or acts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal

from agentauth_cli.secret import SecretMapping

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from agentauth_cli.money import Money

Kind = Literal["user", "agent", "service"]
Auth = Literal["jwt", "api_key", "ci", "os"]
Unit = Literal["minute", "hour", "day", "week", "month"]
Metric = Literal["tokens", "cost", "requests", "leases"]


class Decision(StrEnum):
    """The answer of a policy."""

    ALLOW = "allow"
    DENY = "deny"


class ProviderType(StrEnum):
    """Whose credentials can be asked for."""

    AWS = "aws"
    GCP = "gcp"
    OPENAI = "openai"
    HUGGINGFACE = "huggingface"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, verified.

    `id` is ``issuer/subject``; `groups` have the same form. `claims` are the verified ones.
    `authenticated_at` is None where unknown; `actor` is the id of who acts for it (RFC 8693).
    """

    id: str
    name: str
    kind: Kind = "user"
    auth: Auth = "jwt"
    groups: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    authenticated_at: datetime | None = None
    expires_at: datetime | None = None
    actor: str | None = None

    @property
    def issuer(self) -> str:
        """The part before the first slash."""
        return self.id.partition("/")[0]

    @property
    def user_id(self) -> str:
        """The subject: the part after the first slash."""
        return self.id.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done, in the policy's words: ``provider.resource_type.verb``."""

    verb: str
    provider: str
    resource_type: str

    def __str__(self) -> str:
        return f"{self.provider}.{self.resource_type}.{self.verb}"


@dataclass(frozen=True, slots=True)
class Resource:
    """What it is to be done to. `identifier` is what policies compare."""

    provider: str
    resource_type: str
    identifier: str


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """What a question to a policy is asked in.

    A rule that names `tools` needs ``-`` among them where no tool is given. Without `environment`
    it is the one that the decision point was made for, without `time` it is now. `token_estimate`
    and `cost_estimate` (USD) are for whoever compares them with the answer's limits: rules do not
    look at them.
    """

    tool: str = "-"
    environment: str | None = None
    time: datetime | None = None
    token_estimate: int | None = None
    cost_estimate: float | str | Decimal | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One question to a policy. A `resource` that ends in ``*`` is a scope."""

    principal: Principal
    action: str
    resource: str
    tool: str
    environment: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in `period` seconds."""

    count: int
    period: int

    def __str__(self) -> str:
        unit = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}[self.period]
        return f"{self.count}/{unit}"


@dataclass(frozen=True, slots=True)
class Obligation:
    """What holds if an answer is used, and the rule it came from (of equals, the smallest id).

    For ``rate_limit``, ``models`` and ``delivery`` there is one of these for each rule that says
    so, in the order of the rules' ids.
    """

    value: Any
    rule: str


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """The allow rule that came closest, and the parts of it that failed, in the rule's order."""

    rule: str
    parts: tuple[str, ...]
    hint: str


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """The answer: `rule` decided it, `rules` are all that had a part in it.

    `obligations` are lists by name: one entry for the single-valued ones (see `Obligation`).
    `policy` is the digest of the files that it was decided by, empty where there were none.
    """

    decision: Decision
    reason: str
    rule: str = ""
    rules: tuple[str, ...] = ()
    obligations: Mapping[str, tuple[Obligation, ...]] = field(default_factory=dict, hash=False)
    nearest: NearestMiss | None = None
    policy: str = ""

    def limit(self, name: str) -> Obligation | None:
        """Return the obligation `name` that holds one value, or None: no limit."""
        return next(iter(self.obligations.get(name, ())), None)

    def refused(self, reason: str) -> PolicyDecision:
        """Return this as a refusal, where not a rule but an obligation refused it."""
        if self.decision is Decision.DENY:
            return self
        return replace(self, decision=Decision.DENY, reason=reason)

    @property
    def max_duration(self) -> int | None:
        """The seconds that a credential may live; None: no limit."""
        found: int | None = self._value("max_duration")
        return found

    @property
    def max_tokens(self) -> int | None:
        """The tokens that one lease may take; None: no limit, 0: none at all.

        ``if decision.max_tokens is not None and tokens > decision.max_tokens: …``
        """
        found: int | None = self._value("max_tokens")
        return found

    @property
    def max_cost(self) -> Money | None:
        """What one lease may cost, in USD; None: no limit, 0: nothing at all."""
        from agentauth_cli.money import Money

        micro: int | None = self._value("max_cost")
        return None if micro is None else Money.of_micro(micro)

    @property
    def rate_limit(self) -> tuple[Obligation, ...]:
        """The rates that hold, each with its rule: what `RateLimiter.check` takes. Empty: none."""
        return self.obligations.get("rate_limit", ())

    @property
    def must_log(self) -> bool:
        """Whether what is done has to be written down."""
        return "must_log" in self.obligations

    @property
    def require_reason(self) -> bool:
        """Whether the caller has to say why."""
        return "require_reason" in self.obligations

    def _value(self, name: str) -> Any:
        found = self.limit(name)
        return None if found is None else found.value


@dataclass(frozen=True, slots=True)
class Grant:
    """Some actions on some resource: `actions` for the policy, `permissions` for the provider."""

    actions: tuple[str, ...]
    permissions: tuple[str, ...]
    resource: str


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """What a broker is asked to mint.

    `action` is the provider's permission (``s3:PutObject``), never a policy action; `max_duration`
    is in seconds. A tool with several grants, or several permissions, gives `grants` instead of
    `action` and `resource`. `role` (AWS) and `service_account` (Google: its e-mail address, OpenAI:
    its id) take the place of the environment's; `policy_arns` are AWS managed policies beside its
    session policy, `oauth_scopes` Google's. `unnarrowed`: what the provider cannot narrow may be
    minted all the same.
    """

    tool_name: str
    provider: ProviderType
    action: str = ""
    resource: str = ""
    max_duration: int = 900
    grants: tuple[Grant, ...] = ()
    role: str | None = None
    service_account: str | None = None
    policy_arns: tuple[str, ...] = ()
    oauth_scopes: tuple[str, ...] = ()
    unnarrowed: bool = False
    lease: str | None = None

    @property
    def narrowed(self) -> tuple[Grant, ...]:
        """The grants, also where they were given as one action on one resource."""
        return self.grants or (Grant((), (self.action,), self.resource),)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a broker would ask of its provider, to the letter; nothing has been sent.

    `parameters` are by the provider's own names. `source` is what it would be asked with, as in
    the configuration; `audience` that of a token which is still to be fetched. `unenforced` says
    what the provider itself will not hold the credential to.
    """

    operation: str
    endpoint: str
    parameters: Mapping[str, Any] = field(hash=False)
    source: str
    audience: str | None = None
    unenforced: tuple[str, ...] = ()


NOT_ALONE: Final = "cannot be revoked alone"


@dataclass(frozen=True, slots=True)
class Revocation:
    """What came of ending a credential early.

    `reach`: what else ends with it, where that does; `endless`: it lives on after its lease, too.
    """

    outcome: Literal["revoked", "requested", "unconfirmed", "cannot be revoked alone"]
    reach: str = ""
    endless: bool = False

    @property
    def lives_on(self) -> bool:
        """Whether it can still be used, for all that is known."""
        return self.outcome != "revoked"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that a limit holds for, in UTC: from `start` up to, not including, `end`."""

    unit: Unit
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request takes from one counter: the ledger refuses it where `limit` is passed.

    `window` is a calendar window for budgets, a `Rate` for rate limits. `amount` and `limit` are
    tokens, micro-dollars, requests or leases, as `metric` says. `source` names the budget or rule.
    """

    counter: str
    metric: Metric | Literal["rate"]
    window: Window | Rate
    amount: int
    limit: int
    source: str


Mark = Literal["allowance", "declared", "billed", "exact"]
"""How well a sum is known: reserved only, reported, billed by the provider, or counted."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, and cost in micro-dollars; None where nothing is said."""

    tokens: int | None = None
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Charged:
    """What a lease is charged now, and how well each is known. Cost in micro-dollars."""

    tokens: int
    tokens_mark: Mark
    cost: int
    cost_mark: Mark


@dataclass(frozen=True, slots=True)
class KeyState:
    """How an API key stands: when it was used last, and since when it is revoked."""

    used_at: datetime | None = None
    revoked_at: datetime | None = None


LeaseState = Literal[
    "pending", "orphaned", "active", "expired", "undelivered", "settled", "released"
]
"""`orphaned` is a pending lease whose process is gone, `expired` an active one not settled yet."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One credential, from its reservation to its end.

    `ends_at` is when the ledger settles or releases it: for a pending one its time to live, then
    the end of its credential. `process` is pid and start time of who reserved it.
    """

    id: str
    principal: str
    tool: str
    provider: str
    environment: str
    resource: str
    reserved_at: datetime
    ends_at: datetime
    state: LeaseState = "pending"
    actor: str | None = None
    process: str = ""
    credential_id: str = ""

    def lives(self, now: datetime) -> bool:
        """Say whether its credential can still be used: it outlives being settled."""
        return self.state in ("active", "undelivered", "settled") and self.ends_at > now


@dataclass(frozen=True, slots=True)
class ProviderCredential:
    """A short-lived credential. `credentials` are plain strings behind a masked mapping.

    `credential_id` is a public id of it (for AWS the access key id), `narrowed` says in the
    provider's own words what it was cut down to. `lease` is what its use is recorded by; empty
    where a broker was called by hand. `lives_on`: the provider itself lets it live on after
    `expires_at`, which is then the lease's alone. Raises ValueError where `expires_at` is naive.
    """

    provider: ProviderType
    credential_type: str
    credentials: Mapping[str, str]
    expires_at: datetime
    credential_id: str = ""
    narrowed: str = ""
    lease: str = ""
    lives_on: bool = False

    def __post_init__(self) -> None:
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at has no time zone: datetime.now(UTC) has one")
        if not isinstance(self.credentials, SecretMapping):
            object.__setattr__(self, "credentials", SecretMapping(self.credentials))
