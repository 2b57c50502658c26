"""What `vend` does with its options, however they were read."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from agentauth_cli.cli import screen
from agentauth_cli.deliver import formats, github, stdout
from agentauth_cli.errors import UsageError
from agentauth_cli.policy.charges import Stated
from agentauth_cli.secret import MASK
from agentauth_cli.tables import values
from agentauth_cli.vending import Asked, Vended
from agentauth_cli.vending import vend as go
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.cli.quick import Words

T = TypeVar("T")


@dataclass(frozen=True)
class VendInput:
    """What is asked for, and how it is shown."""

    asked: Asked
    format: str
    reveal: bool


def asked(
    wiring: Wiring,
    tool: str,
    environment: str | None,
    resource: str | None,
    duration: str | None,
    tokens: int | None,
    cost: str | None,
    model: str | None,
    reason: str | None,
    delivery: str = "stdout",
) -> Asked:
    """Return what the options ask for. Raises UsageError, and what finding the tool raises."""
    seconds = parsed("--duration", values.duration, duration)
    stated = Stated(
        seconds,
        parsed("--estimate-tokens", values.tokens, tokens),
        parsed("--estimate-cost", values.cost, cost),
        model,
        reason,
    )
    return wiring.asked(tool, environment, stated, resource, delivery)


def parsed(option: str, parse: Callable[[T], int], given: T | None) -> int | None:
    """Return what an option says, None where it is not given. Raises UsageError."""
    try:
        return None if given is None else parse(given)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def vend(words: Words) -> None:
    """Do what these words say. Raises what the way to a credential raises."""
    formats.check(words.format)
    wiring = Wiring(say=screen.say, chosen=words.identity)
    given = asked(
        wiring,
        words.tool,
        words.env,
        words.resource,
        words.duration,
        words.estimate_tokens,
        words.estimate_cost,
        words.model,
        words.reason,
    )
    if words.dry_run:
        from agentauth_cli.cli import preview

        preview.work(wiring, given, as_json=words.as_json)
    else:
        work(wiring, VendInput(given, words.format, reveal=words.reveal))


def work(wiring: Wiring, given: VendInput) -> None:
    """Vend, and write the credential in its format."""
    render = formats.named(given.format, given.asked.tool.provider)
    file = github.file(wiring.environ) if given.format == "github" else None
    show = given.reveal or not screen.is_terminal(sys.stdout)

    def deliver(vended: Vended) -> None:
        if show:
            stdout.write(render(vended))
        else:
            hidden = replace(vended.credential, credentials=formats.masked(vended.credential))
            text = render(replace(vended, credential=hidden))
            stdout.write(text.replace(json.dumps(MASK)[1:-1], MASK))
        if file is not None:
            github.append(file, vended.credential)

    vended = go(wiring.parts(), given.asked, deliver)
    if not show:
        screen.say("secrets are hidden on a terminal: use --reveal, or a pipe")
    say_cut(vended, given.asked.stated)


def say_cut(vended: Vended, stated: Stated) -> None:
    """Say where a credential lives shorter than was asked for."""
    cut, wanted = vended.bounded.duration, stated.duration
    if wanted is not None and wanted > cut:
        screen.say(f"asked for {wanted} s, cut to {cut} s: the limit of tool, policy or login")
