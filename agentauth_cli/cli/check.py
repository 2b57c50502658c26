"""`check`, also `explain`: would it be allowed, and why."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import check_policy, check_tree, screen, tree
from agentauth_cli.cli.check_basis import Watched
from agentauth_cli.cli.check_policy import At, AuthOf, Claims, Groups, KindOf, Other, Request, Who
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
from agentauth_cli.cli.vend_work import asked
from agentauth_cli.errors import (
    ConfigError,
    LimitError,
    PermissionDeniedError,
    PolicyMissingError,
    SwitchedOffError,
    UsageError,
)
from agentauth_cli.ledger.records import obligations
from agentauth_cli.model import Decision, PolicyDecision
from agentauth_cli.vending import check as go
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.cli.check_basis import Basis
    from agentauth_cli.cli.check_policy import Answered
    from agentauth_cli.errors import AgentAuthError
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.vending import Asked


def declare(app: typer.Typer) -> None:
    """Add the command, under both names."""
    app.command("check")(_check)
    app.command("explain", help="The same as check.")(_check)


def _check(
    tool: Annotated[
        str | None, typer.Argument(metavar="[TOOL]", help="A tool of config.toml.")
    ] = None,
    *,
    env: Environment = None,
    identity: Identity = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="A", help="Ask the policy alone: an action.")
    ] = None,
    resource: Resource = None,
    duration: Duration = None,
    estimate_tokens: Tokens = None,
    estimate_cost: Cost = None,
    model: Model = None,
    reason: Reason = None,
    principal: Who = None,
    group: Groups = None,
    claim: Claims = None,
    kind: KindOf = None,
    auth: AuthOf = None,
    at: At = None,
    request: Request = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="The exit code alone.")] = False,
    as_json: Json = False,
) -> None:
    """Ask whether it would be allowed, and why; nothing is vended.

    On a terminal, and with --json, each rule says what it looked at; else the answer is one line,
    the obligations and the nearest miss.
    """
    show = Show(quiet=quiet, as_json=as_json)
    wiring = Wiring(say=screen.say, chosen=identity)
    other = Other(principal, tuple(group or ()), tuple(claim or ()), kind, auth, at)
    if request is not None:
        if (tool, env, action, resource) != (None,) * 4 or other != Other():
            raise UsageError("--request says everything: give it alone")
        ask_policy(wiring, check_policy.asking_request(wiring, request), show)
        return
    if (tool is None) is (action is None) or (tool is None and resource is None):
        raise UsageError("give TOOL, or --action and --resource")
    if tool is None or other != Other():
        about = check_policy.Input(tool, action or "", resource, env, other)
        ask_policy(wiring, check_policy.asking(wiring, about), show)
        return
    given = asked(
        wiring, tool, env, resource, duration, estimate_tokens, estimate_cost, model, reason
    )
    work(wiring, given, show)


@dataclass(frozen=True)
class Show:
    """How the answer is shown."""

    quiet: bool
    as_json: bool

    def answer(self, decision: PolicyDecision, basis: Basis | None = None) -> None:
        """Show a decision; `basis` is what the policy was asked, None where it was not."""
        if self.quiet:
            return
        if self.as_json:
            why = check_tree.shape(*basis) if basis else []
            screen.out_json({**shape(decision), "questions": why})
            return
        rules = f" {', '.join(decision.rules)}" if decision.rules else ""
        screen.out(f"{decision.decision}: {decision.reason}{rules}")
        if basis and screen.is_terminal(sys.stdout):
            tree.show(check_tree.tree(*basis))
            return
        for line in check_tree.told(decision):
            screen.out(f"  {line}")


def work(wiring: Wiring, given: Asked, show: Show) -> None:
    """Go the way of `vend` without reserving; show the decision, raise what `vend` would."""
    watched = Watched(wiring.parts())
    try:
        bounded = go(watched.parts, given)
    except (PermissionDeniedError, SwitchedOffError, LimitError) as refusal:
        show.answer(_refused(refusal, watched), watched.basis(given))
        if refusal.hint == PermissionDeniedError.advice:
            refusal.hint = ""  # it is this very command
        raise
    except ConfigError:
        _show_unloaded(wiring, show)
        raise
    show.answer(bounded.decision, watched.basis(given))


def _refused(refusal: AgentAuthError, watched: Watched) -> PolicyDecision:
    """Return a refusal as an answer, also where it was not the policy that refused."""
    decision = refusal.decision if isinstance(refusal, PermissionDeniedError) else None
    if decision is not None:
        return decision.refused(refusal.message)
    reason = f"{refusal.what}: {refusal.message}"
    return PolicyDecision(Decision.DENY, reason, policy=watched.parts.policy().digest)


def ask_policy(wiring: Wiring, ask: Callable[[Policy], Answered], show: Show) -> None:
    """Ask the policy alone. Raises PermissionDeniedError, or ConfigError where there is none."""
    try:
        policy = wiring.configuration.policy()
    except ConfigError:
        _show_unloaded(wiring, show)
        raise
    decision, asked = ask(policy)
    show.answer(decision, (policy, asked) if asked else None)
    if decision.decision is Decision.DENY:
        raise PermissionDeniedError(decision.reason, decision=decision, hint="")


def _show_unloaded(wiring: Wiring, show: Show) -> None:
    """Show the refusal where it is the policy that is missing or does not load."""
    try:
        wiring.configuration.policy()
    except PolicyMissingError:
        show.answer(PolicyDecision(Decision.DENY, "no policy"))
    except ConfigError:
        show.answer(PolicyDecision(Decision.DENY, "policy invalid"))


def shape(decision: PolicyDecision) -> dict[str, Any]:
    """Return a decision as `check --json` shows it."""
    nearest = decision.nearest
    return {
        "effect": decision.decision,
        "reason": decision.reason,
        "rule": decision.rule,
        "rules": list(decision.rules),
        "obligations": obligations(decision),
        "nearest": nearest
        and {"rule": nearest.rule, "parts": list(nearest.parts), "hint": nearest.hint},
        "policy": decision.policy,
    }
