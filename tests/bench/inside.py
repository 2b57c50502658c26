"""Runs the program and says, on standard error at its end, what its parts took in seconds."""

from __future__ import annotations

import builtins
import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BEGAN = time.perf_counter()
FOREIGN = frozenset(
    {"boto3", "botocore", "cryptography", "google", "huggingface_hub", "jwt", "keyring", "openai"}
)


class Stopwatch:
    """Measures what is called through it; what is called within that belongs to the outermost."""

    def __init__(self) -> None:
        self.took = 0.0
        self.began: float | None = None
        self._inside = False

    def around(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, measured."""

        def measured(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return whole(*arguments, **named)
            self._inside, began = True, time.perf_counter()
            self.began = self.began or began
            try:
                return whole(*arguments, **named)
            finally:
                self._inside = False
                self.took += time.perf_counter() - began

        return measured


def main() -> None:
    """Run the program with its imports of others, its network and its steps measured."""
    imports, network, steps = Stopwatch(), Stopwatch(), Stopwatch()
    whole, foreign = builtins.__import__, imports.around(builtins.__import__)

    def load(name: str, *arguments: Any) -> Any:
        return (foreign if name.partition(".")[0] in FOREIGN else whole)(name, *arguments)

    builtins.__import__ = load  # type: ignore[assignment] # takes all that is given
    from agentauth_cli import __main__, transport, vending
    from agentauth_cli.inbound import source

    for name in ("_connect", "_write", "_read"):
        setattr(transport, name, network.around(getattr(transport, name)))
    vending._ask = steps.around(vending._ask)
    source.find = steps.around(source.find)
    try:
        __main__.main()
    finally:
        ended = time.perf_counter()
        begun = steps.began or ended
        rest = ended - begun - imports.took - network.took
        found = {"start": begun - BEGAN, "imports": imports.took, "network": network.took}
        print(json.dumps({**found, "rest": rest}), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
