"""`exec`: a command with the credentials in its environment and nowhere else."""

from __future__ import annotations

import contextlib
import tempfile
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import (
    Cost,
    Duration,
    Environment,
    Identity,
    Json,
    Model,
    Reason,
    Resource,
    Tokens,
)
from agentauth_cli.cli.vend_work import asked, say_cut
from agentauth_cli.deliver import child, environment
from agentauth_cli.deliver.child import Before, Job, fork, held, refusal, run
from agentauth_cli.deliver.formats import secrets
from agentauth_cli.deliver.mask import Mask
from agentauth_cli.deliver.streams import shown
from agentauth_cli.deliver.terminal import Terminal
from agentauth_cli.ending import revoke, settle
from agentauth_cli.errors import AgentAuthError, StateError, Stopped, UsageError
from agentauth_cli.model import ProviderType
from agentauth_cli.vending import Asked, Parts, Vended, check_alive
from agentauth_cli.vending import vend as go
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Tools = Annotated[list[str], typer.Argument(metavar="TOOL", help="Tools of config.toml.")]


_COMMAND = "agentauth.command"


class _WithCommand(TyperCommand):
    """A command line that ends where another begins: behind the first ``--``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Typer's own Context is private
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND…"]


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("exec", cls=_WithCommand)
    def exec_(
        context: typer.Context,
        tools: Tools,
        *,
        env: Environment = None,
        identity: Identity = None,
        resource: Resource = None,
        duration: Duration = None,
        estimate_tokens: Tokens = None,
        estimate_cost: Cost = None,
        model: Model = None,
        reason: Reason = None,
        inherit: Annotated[
            list[str] | None,
            typer.Option("--inherit", metavar="NAME", help="Let a variable through all the same."),
        ] = None,
        clean: Annotated[
            bool, typer.Option("--clean", help="Few variables but those of the credentials.")
        ] = False,
        no_mask: Annotated[
            bool, typer.Option("--no-mask", help="Show the secrets on a terminal too.")
        ] = False,
        as_json: Json = False,  # the form of errors
    ) -> None:
        """Run a command with credentials in its environment.

        The command stands behind `--`. Exit code, signals and terminal are its own. The leases end
        with it.
        """
        command = context.meta[_COMMAND]
        if not command:
            raise UsageError(
                "there is no command", hint="Write it behind `--`: agentauth exec TOOL -- COMMAND"
            )
        wiring = Wiring(say=screen.say, chosen=identity)
        stated = (resource, duration, estimate_tokens, estimate_cost, model, reason)
        wanted = [asked(wiring, tool, env, *stated, delivery="exec") for tool in tools]
        given = ExecInput(
            tuple(wanted), tuple(command), tuple(inherit or ()), clean=clean, mask=not no_mask
        )
        raise typer.Exit(work(wiring, given, context.obj, as_json=as_json))


@dataclass(frozen=True)
class ExecInput:
    """What is asked for, and what is run with it. `inherit` are names of variables."""

    asked: tuple[Asked, ...]
    command: tuple[str, ...]
    inherit: tuple[str, ...] = ()
    clean: bool = False
    mask: bool = True


def work(wiring: Wiring, given: ExecInput, core: tuple[int, int], *, as_json: bool) -> int:
    """Vend, run the command, settle the leases; return the command's exit code.

    That is -N where signal N killed it.
    `core` are the limits of core dumps that the command gets back: those before ours.
    Raises UsageError for two tools of one provider, CommandMissingError, CommandUnusableError, and
    what vending raises.
    """
    check(given.asked)
    inherit = {*given.inherit, *wiring.settings.inherit}
    parts = wiring.parts()
    running: list[tuple[Sequence[Vended], Job]] = []
    with contextlib.ExitStack() as stack:
        empty = stack.enter_context(_empty_folder())
        terminal = stack.enter_context(closing(Terminal())) if given.mask and shown() else None
        kept = environment.environment(wiring.environ, inherit, clean=given.clean, empty=empty)
        child.check(given.command[0], kept)

        def start(vended: Sequence[Vended]) -> None:
            environ = kept | environment.credentials(vended)
            for one in vended:
                say_cut(one, given.asked[0].stated)
            before = hearing.enter_context(held(core))
            running.append((vended, _start(given.command, environ, before, terminal)))

        with contextlib.ExitStack() as hearing:
            through(parts, given.asked, start)
            ((vended, job),) = running
            stack.callback(settle_all, parts, vended, as_json=as_json)
            code = _ended(job, terminal, vended)
    return code


def check(asked: Sequence[Asked]) -> None:
    """Raise UsageError where two tools would set the same variables."""
    first: dict[ProviderType, str] = {}
    for one in asked:
        name, provider = one.tool.name, one.tool.provider
        if provider in first:
            raise UsageError(
                f"{first[provider]} and {name} set the same variables: both are of {provider}",
                hint="Name one tool of each provider",
            )
        first[provider] = name


def through(
    parts: Parts,
    asked: Sequence[Asked],
    start: Callable[[Sequence[Vended]], None],
    vended: Sequence[Vended] = (),
) -> None:
    """Go the whole way for each tool, one inside the other; the innermost delivers by `start`.

    So a failure of any of them leaves those before it undelivered.
    """
    first, *rest = asked

    def deliver(one: Vended) -> None:
        every = (*vended, one)
        if rest:
            through(parts, rest, start, every)
            return
        for each in every:
            check_alive(parts, each)  # the first was handed on before the last was minted
        start(every)

    go(parts, first, deliver)


def settle_all(parts: Parts, vended: Sequence[Vended], *, as_json: bool) -> None:
    """End the leases. Where that cannot be written it is said: the command has run all the same.

    So it is where a signal cuts the wait for the ledger short.
    """
    try:
        for one in vended:
            _settle(parts, one, as_json=as_json)
    except Stopped:
        screen.say("stopped before every lease was settled: those left end by their time")


def _settle(parts: Parts, vended: Vended, *, as_json: bool) -> None:
    """End one lease, and its credential where that dies alone."""
    ledger, lease = parts.ledger(), vended.lease
    tool = vended.bounded.narrowed.tool
    steps = (
        lambda: settle(ledger, lease.id),
        lambda: revoke(ledger, lambda: parts.broker(tool), lease, vended.credential),
    )
    for step in steps:
        try:
            step()
        except AgentAuthError as error:
            screen.error(error, as_json=as_json)


def _start(
    command: Sequence[str],
    environ: Mapping[str, str],
    before: Before,
    terminal: Terminal | None,
) -> Job:
    try:
        if terminal:
            return terminal.start(lambda: run(command, environ, before), before)
        return Job(fork(lambda _told: run(command, environ, before)), before)
    except OSError as error:
        raise refusal(command[0], environ, error) from None


def _ended(job: Job, terminal: Terminal | None, vended: Sequence[Vended]) -> int:
    """Wait for the command's end; return its exit code."""
    if terminal is None:
        return job.wait()
    mask = Mask(secret for one in vended for secret in secrets(one.credential))
    with terminal.passing_on(mask):
        return job.wait()


@contextlib.contextmanager
def _empty_folder() -> Iterator[str]:
    """Make a folder that is gone at the end. Raises StateError."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="agentauth-", ignore_cleanup_errors=True)
    except OSError as error:
        why = f"no temporary folder can be made: {error.strerror}"
        raise StateError(why, hint="Check TMPDIR and its disk") from None
    with folder as name:
        yield name
