"""For the tests of who uses agentauth: fakes that pass the same contracts as the real parts.

- `FakeBroker`, `FakeClock`, `memory_ledger`: no cloud, no waiting, nothing on disk
- `agentauth_cli.testing.contracts`: what every implementation of a port has to pass; they need
  pytest
- the pytest plugin, which comes with the package: the fixture `agentauth`, and those it is made of
"""

from agentauth_cli.testing.broker import FakeBroker
from agentauth_cli.testing.clock import FakeClock
from agentauth_cli.testing.ledger import memory_ledger

__all__ = ["FakeBroker", "FakeClock", "memory_ledger"]
