"""The values of ``${…}`` in resources."""

from __future__ import annotations

from agentauth_cli.policy.matching import CLAIM
from agentauth_cli.terms import DIGITS, LOWER

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.model import Principal

USABLE = frozenset(LOWER + LOWER.upper() + DIGITS + "._@+=,-")
"""The characters that may be put in for a variable."""

_LONGEST = 128


def values(
    principal: Principal, tool: str, environment: str, others: Mapping[str, str] | None = None
) -> Callable[[str], str]:
    """Return the function that looks a variable up; `others` are the environment's own.

    It raises ValueError where the value is missing or may not be put into a resource: it has to be
    1 to 128 characters of ``A-Z a-z 0-9 . _ @ + = , -``, without ``..``.
    """

    def value_of(variable: str) -> str:
        if variable.startswith(CLAIM):
            value = principal.claims.get(variable.removeprefix(CLAIM))
        else:
            value = _known(variable, principal, tool, environment, others or {})
        if not isinstance(value, str):
            raise ValueError(f"`${{{variable}}}` has no value that is a string")
        if not (0 < len(value) <= _LONGEST and USABLE.issuperset(value)) or ".." in value:
            raise ValueError(
                f"the value of `${{{variable}}}` cannot stand in a resource: "
                "set `name_claim`, or use a claim that can, or `${principal.hash}`"
            )
        return value

    return value_of


def _known(
    variable: str, principal: Principal, tool: str, environment: str, others: Mapping[str, str]
) -> str | None:
    match variable:
        case "principal.name":
            return principal.name
        case "principal.issuer":
            return principal.issuer
        case "principal.hash":
            import hashlib

            return hashlib.sha256(principal.id.encode()).hexdigest()[:16]
        case "environment":
            return environment
        case "tool":
            return tool
        case _:
            return others.get(variable)
