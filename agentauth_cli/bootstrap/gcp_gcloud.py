"""Google's side of an environment as a script of gcloud commands, principals as its arguments."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from agentauth_cli.bootstrap.shell import command, comment, listed, mapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.bootstrap.gcp import Account, Plan, Pool

_COMMENT = """\
Google's side of agentauth's environment {environment}:
agentauth bootstrap gcp --env {environment} --format gcloud
Arguments are the principals; nobody is trusted by default. {advice}
What is there already is an error of gcloud: leave its command out then."""

_CHECK = """\
[ $# -gt 0 ] || {{ echo 'give at least one principal' >&2; exit 2; }}
for one in "$@"; do
  case $one in
    *'*'*) echo 'a principal has no star' >&2; exit 2 ;;
    {forms}) ;;
    *) echo 'no principal of this environment' >&2; exit 2 ;;
  esac
done"""

_FEDERATED = """\
number=$({described})
[ "$number" = {number} ] || {{
  echo 'workload_identity_provider has the number of another project' >&2
  exit 2
}}
pool={pool}
member() {{
  case $1 in
    subject/*) printf '%s' "principal://iam.googleapis.com/$pool/$1" ;;
    *) printf '%s' "principalSet://iam.googleapis.com/$pool/$1" ;;
  esac
}}"""

_THEMSELVES = """\
member() { printf '%s' "$1"; }"""


def gcloud(plan: Plan) -> str:
    """Return the whole of it, one file."""
    return "\n\n".join(_parts(plan)) + "\n"


def _parts(plan: Plan) -> Iterator[str]:
    head = _COMMENT.format(environment=plan.environment, advice=plan.advice)
    yield "#!/bin/sh\n" + comment("\n".join([head, "", *plan.notes]))
    yield "set -eu"
    if plan.pool is None:
        yield _CHECK.format(forms="user:?*@?* | group:?*@?* | serviceAccount:?*@?*")
        yield _THEMSELVES
    else:
        yield _CHECK.format(forms="subject/?* | attribute.[a-z0-9_]*/?*")
        described = (
            f"gcloud projects describe {quote(plan.project)} --format='value(projectNumber)'"
        )
        yield _FEDERATED.format(
            described=described, number=plan.pool.number, pool=plan.pool.resource
        )
        yield from _pool(plan, plan.pool)
    for one in plan.accounts:
        yield from _account(plan, one)


def _pool(plan: Plan, pool: Pool) -> Iterator[str]:
    pools = ("gcloud", "iam", "workload-identity-pools")
    where = {"project": plan.project, "location": "global", "description": plan.described()}
    yield command([*pools, "create", pool.name], where)
    provider = {
        "workload-identity-pool": pool.name,
        "issuer-uri": pool.issuer.issuer,
        "allowed-audiences": listed(pool.audience),
        "attribute-mapping": mapped(pool.mapping),
        "attribute-condition": pool.condition,
    }
    yield command([*pools, "providers", "create-oidc", pool.provider], where | provider)


def _account(plan: Plan, one: Account) -> Iterator[str]:
    accounts = ("gcloud", "iam", "service-accounts")
    described = {"project": plan.project, "description": plan.described(one.tools)}
    yield command([*accounts, "create", one.name], described)
    binding = command(
        [*accounts, "add-iam-policy-binding", one.email],
        {"project": plan.project, "role": plan.role, "condition": "None"},
        '--member="$(member "$one")"',
    )
    yield f'for one in "$@"; do\n  {binding}\ndone'
    for bound in one.bindings:
        condition = {"title": f"agentauth {plan.environment}", "expression": bound.condition}
        flags = {
            "member": f"serviceAccount:{one.email}",
            "role": bound.role,
            "condition": mapped(condition) if bound.condition else "None",
        }
        bucket = f"gs://{bound.bucket}"
        yield command(["gcloud", "storage", "buckets", "add-iam-policy-binding", bucket], flags)
