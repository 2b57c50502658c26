"""The OS account as an identity: ``os/USERNAME`` by real uid, never by ``$USER``."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.claims import text_fault
from agentauth_cli.model import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.model import Kind


@dataclass(frozen=True, slots=True)
class OsAccount:
    """One of ``[inbound.os]``: what an OS account is, where it is more than a user.

    `groups` are without the ``os/`` that they get.
    """

    kind: Kind = "user"
    groups: tuple[str, ...] = ()


def authenticate(accounts: Mapping[str, OsAccount]) -> Principal:
    """Return who runs this process. `accounts` are by user name; one not among them is a user.

    Raises AuthenticationError (`os_account_unknown`, `os_account_refused`) where the uid has no
    name, or one that cannot be the subject of an id.
    """
    uid = os.getuid()
    try:
        username = pwd.getpwuid(uid).pw_name
    except KeyError:
        raise AuthenticationError(
            f"uid {uid} has no OS account",
            reason="os_account_unknown",
            hint="Give it a name in the user database, or present a token in AGENTAUTH_TOKEN",
        ) from None
    fault = text_fault(username)
    if fault is not None:
        raise AuthenticationError(f"the name of uid {uid} {fault}", reason="os_account_refused")
    account = accounts.get(username, OsAccount())
    return Principal(
        id=f"os/{username}",
        name=username,
        kind=account.kind,
        auth="os",
        groups=tuple(f"os/{group}" for group in account.groups),
    )
