"""For the tests of who uses agentauth: fakes that pass the same contracts as the real parts.

- `FakeBroker`, `FakeClock`, `memory_ledger`: no cloud, no waiting, nothing on disk
- `agentauth_cli.testing.contracts`: what every implementation of a port has to pass; they need
  pytest
- the pytest plugin, which comes with the package: the fixture `agentauth`, and those it is made of

The names are loaded when they are asked for: pytest loads the plugin in every run.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from agentauth_cli.testing.broker import FakeBroker
    from agentauth_cli.testing.clock import FakeClock
    from agentauth_cli.testing.ledger import memory_ledger

__all__ = ["FakeBroker", "FakeClock", "memory_ledger"]

_HOME = {"FakeBroker": "broker", "FakeClock": "clock", "memory_ledger": "ledger"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
