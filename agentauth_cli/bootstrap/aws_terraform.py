"""AWS's side of an environment as Terraform, for the provider hashicorp/aws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.bootstrap import aws
from agentauth_cli.bootstrap.hcl import Block, Expression, call, label, quoted, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.bootstrap.aws import Plan, ToolRole, Trusted

_COMMENT = """\
AWS's side of agentauth's environment {environment}: agentauth bootstrap aws --env {environment}
The values of the variables are yours to give; nobody is trusted by default."""


class _Words:
    """How Terraform refers to the parts of a plan."""

    def provider(self, issuer: Trusted) -> Any:
        if issuer.built_in:
            return issuer.host
        return Expression(f"aws_iam_openid_connect_provider.{label(issuer.name)}.arn")

    def subjects(self, issuer: Trusted) -> Expression:
        return Expression(f"var.{_subjects(issuer)}")

    def sources(self) -> Expression:
        return Expression("var.source_principals")

    def boundary(self) -> Expression:
        return Expression("aws_iam_policy.boundary.arn")

    def role(self, one: ToolRole) -> Expression:
        return Expression(f"aws_iam_role.{label(one.role.name)}.arn")


_WORDS = _Words()


def terraform(plan: Plan) -> str:
    """Return the whole of it, one file. Raises what `aws.boundary` raises."""
    comment = _COMMENT.format(environment=plan.environment)
    return text(comment, _blocks(plan))


def _blocks(plan: Plan) -> Iterator[Block]:
    needed = {"aws": {"source": "hashicorp/aws", "version": ">= 6.0"}}
    yield Block("terraform", blocks=(Block("required_providers", attributes=needed),))
    here = {"region": plan.region, "allowed_account_ids": [plan.account]}
    yield Block("provider", ("aws",), here)
    yield from _variables(plan)
    for issuer in plan.issuers:
        if not issuer.built_in:
            yield _provider(plan, issuer)
    yield Block("locals", attributes={"trust": call("jsonencode", aws.trust(plan, _WORDS))})
    yield _policy(
        plan,
        "boundary",
        "What no role of agentauth may go beyond",
        aws.boundary(plan),
    )
    for one in plan.roles:
        yield from _role(plan, one)
    if not plan.issuers:
        yield _policy(
            plan,
            "source",
            f"Assumes the roles of agentauth: for whoever {plan.source} is",
            aws.assuming(plan, _WORDS),
        )
    if plan.revoked_by is not None:
        yield _policy(
            plan,
            "revoke",
            f"Ends sessions early: for whoever {plan.revoked_by} is",
            aws.revoking(plan, _WORDS),
        )


def _variables(plan: Plan) -> Iterator[Block]:
    for issuer in plan.issuers:
        yield _variable(
            _subjects(issuer),
            issuer.advice,
            aws.SUBJECT,
        )
    if not plan.issuers:
        yield _variable(
            "source_principals",
            f"Who agentauth is at AWS (source {plan.source}): ARNs of users or roles",
            aws.PRINCIPAL,
        )


def _variable(name: str, description: str, form: str) -> Block:
    wanted = f"length(var.{name}) > 0 && alltrue([for one in var.{name} : can(regex({{}}, one))])"
    check = Block(
        "validation",
        attributes={
            "condition": Expression(wanted.format(quoted(f"^{form}$"))),
            "error_message": f"At least one, and none that stands for anybody: {form}",
        },
    )
    kind = {"description": description, "type": Expression("list(string)")}
    return Block("variable", (name,), kind, (check,))


def _subjects(issuer: Trusted) -> str:
    return f"subjects_{label(issuer.name)}"


def _provider(plan: Plan, issuer: Trusted) -> Block:
    return Block(
        "resource",
        ("aws_iam_openid_connect_provider", label(issuer.name)),
        {
            "url": f"https://{issuer.host}",
            "client_id_list": [plan.audience],
            "tags": plan.tags(),
        },
    )


def _policy(plan: Plan, name: str, description: str, document: dict[str, Any]) -> Block:
    return Block(
        "resource",
        ("aws_iam_policy", name),
        {
            "name": plan.named(name),
            "description": description,
            "policy": call("jsonencode", document),
            "tags": plan.tags(),
        },
    )


def _role(plan: Plan, one: ToolRole) -> Iterator[Block]:
    name = label(one.role.name)
    yield Block(
        "resource",
        ("aws_iam_role", name),
        {
            "name": one.role.name,
            "path": one.path,
            "assume_role_policy": Expression("local.trust"),
            "permissions_boundary": _WORDS.boundary(),
            "max_session_duration": one.seconds,
            "tags": plan.tags(one),
        },
    )
    yield Block(
        "resource",
        ("aws_iam_role_policy", name),
        {
            "name": aws.INLINE,
            "role": Expression(f"aws_iam_role.{name}.name"),
            "policy": call("jsonencode", aws.permissions(one)),
        },
    )
