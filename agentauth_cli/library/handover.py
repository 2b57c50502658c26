"""A credential on its way from a thread to who awaits it, who may have gone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.model import ProviderCredential


class Handover:
    """Either the one who awaits has the credential in the end, or `drop` gets it, once."""

    def __init__(self, drop: Callable[[ProviderCredential], None]) -> None:
        self._drop = drop
        self._lock = threading.Lock()
        self._gone = False
        self._given: ProviderCredential | None = None

    def give(self, credential: ProviderCredential) -> ProviderCredential:
        """Hand on what was vended; for the thread."""
        with self._lock:
            self._given, gone = credential, self._gone
        if gone:
            self._drop(credential)
        return credential

    def give_up(self) -> None:
        """Stop waiting. What was given and never arrived is dropped in a thread of its own."""
        with self._lock:
            self._gone, given = True, self._given
        if given is not None:
            threading.Thread(target=self._drop, args=(given,)).start()
