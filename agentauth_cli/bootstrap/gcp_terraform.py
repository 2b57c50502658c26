"""Google's side of an environment as Terraform, for the provider hashicorp/google."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.bootstrap.hcl import Block, Expression, label, quoted, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.bootstrap.gcp import Account, Plan, Pool

_COMMENT = """\
Google's side of agentauth's environment {environment}: agentauth bootstrap gcp --env {environment}
The principals are yours to give; nobody is trusted by default."""

_FEDERATED = (
    '{ for one in var.principals : one => "${startswith(one, "subject/") ? "principal" : '
    '"principalSet"}://iam.googleapis.com/${google_iam_workload_identity_pool.pool.name}/${one}" }'
)
_THEMSELVES = "{ for one in var.principals : one => one }"


def terraform(plan: Plan) -> str:
    """Return the whole of it, one file."""
    comment = _COMMENT.format(environment=plan.environment)
    return text("\n".join([comment, "", *plan.notes]), _blocks(plan))


def _blocks(plan: Plan) -> Iterator[Block]:
    needed = {"google": {"source": "hashicorp/google", "version": ">= 6.0"}}
    yield Block("terraform", blocks=(Block("required_providers", attributes=needed),))
    yield Block("provider", ("google",), {"project": plan.project})
    yield _principals(plan)
    if plan.pool is not None:
        yield from _pool(plan, plan.pool)
    members = _FEDERATED if plan.pool is not None else _THEMSELVES
    yield Block("locals", attributes={"members": Expression(members)})
    for one in plan.accounts:
        yield from _account(plan, one)


def _principals(plan: Plan) -> Block:
    wanted = (
        "length(var.principals) > 0 && "
        f"alltrue([for one in var.principals : can(regex({quoted(f'^{plan.form}$')}, one))])"
    )
    check = Block(
        "validation",
        attributes={
            "condition": Expression(wanted),
            "error_message": f"At least one, and none that stands for anybody: {plan.form}",
        },
    )
    kind = {"description": plan.advice, "type": Expression("set(string)")}
    return Block("variable", ("principals",), kind, (check,))


def _pool(plan: Plan, pool: Pool) -> Iterator[Block]:
    same = {
        "condition": Expression(f"self.name == {quoted(pool.resource)}"),
        "error_message": "workload_identity_provider has the number of another project.",
    }
    yield Block(
        "resource",
        ("google_iam_workload_identity_pool", "pool"),
        {
            "workload_identity_pool_id": pool.name,
            "description": plan.described(),
        },
        (Block("lifecycle", blocks=(Block("postcondition", attributes=same),)),),
    )
    trusted = {"issuer_uri": pool.issuer.issuer, "allowed_audiences": [pool.audience]}
    yield Block(
        "resource",
        ("google_iam_workload_identity_pool_provider", label(pool.issuer.name)),
        {
            "workload_identity_pool_id": Expression(
                "google_iam_workload_identity_pool.pool.workload_identity_pool_id"
            ),
            "workload_identity_pool_provider_id": pool.provider,
            "description": plan.described(),
            "attribute_mapping": pool.mapping,
            "attribute_condition": pool.condition,
        },
        (Block("oidc", attributes=trusted),),
    )


def _account(plan: Plan, one: Account) -> Iterator[Block]:
    name = label(one.name)
    yield Block(
        "resource",
        ("google_service_account", name),
        {"account_id": one.name, "description": plan.described(one.tools)},
    )
    yield Block(
        "resource",
        ("google_service_account_iam_member", name),
        {
            "for_each": Expression("local.members"),
            "service_account_id": Expression(f"google_service_account.{name}.name"),
            "role": plan.role,
            "member": Expression("each.value"),
        },
    )
    for i, binding in enumerate(one.bindings, 1):
        condition = {"title": f"agentauth {plan.environment}", "expression": binding.condition}
        yield Block(
            "resource",
            ("google_storage_bucket_iam_member", f"{name}_{i}"),
            {
                "bucket": binding.bucket,
                "role": binding.role,
                "member": Expression(f"google_service_account.{name}.member"),
            },
            (Block("condition", attributes=condition),) if binding.condition else (),
        )
