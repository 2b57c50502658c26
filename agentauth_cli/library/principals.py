"""Which principal is meant by what a program has at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.errors import UnknownNameError
from agentauth_cli.inbound.claims import text_fault

if TYPE_CHECKING:
    from agentauth_cli.wiring import Wiring

_OWN = frozenset({"key", "os"})
_TOLD = 256
_WHOLE = "Give the whole id: ISSUER/SUBJECT"


def exact(wiring: Wiring, principal_id: str) -> str:
    """Return the id that is meant: this one, or that of the one principal with this subject.

    What begins with an issuer of the configuration is an id, so that nobody's subject passes for
    another's id. Raises UnknownNameError where the ledger has seen no such principal, or several.
    """
    issuers = {one.name for one in wiring.settings.inbound.issuers} | _OWN
    told = repr(principal_id[:_TOLD])
    issuer, _, subject = principal_id.partition("/")
    if issuer in issuers and text_fault(subject) is None:
        return principal_id
    seen = wiring.ledger.principals()
    if principal_id in seen:
        return principal_id
    found = [one for one in seen if one.partition("/")[2] == principal_id]
    if len(found) > 1:
        raise UnknownNameError(f"{told} is the subject of {', '.join(found)}", hint=_WHOLE)
    if not found:
        raise UnknownNameError(
            f"the ledger has seen no principal with the subject {told}", hint=_WHOLE
        )
    return found[0]
