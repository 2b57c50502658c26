"""What the tokens of well-known issuers are like, as their own pages say.

=============== ==================================== ============================================
preset          subject                              more claims of use
=============== ==================================== ============================================
github-actions  repo:OWNER/REPO:ref:REF, or as the   repository_owner_id, repository_id, ref,
                owner of the repository defines it   environment, job_workflow_ref, event_name
gitlab          project_path:PATH:ref_type:TYPE:     namespace_id, project_id, ref,
                ref:REF, or as the project has it    ref_protected, environment, user_id
google          a number for good; an address can    hd (a Workspace's domain), email,
                change hands                         email_verified
okta            a user's name or a client's id       scp, cid, groups (once it is set up)
entra           the `oid` of a user or workload:     tid, roles, groups, azp
                `sub` is another for each client
auth0           CONNECTION|ID, or CLIENT@clients     permissions, azp, org_id
keycloak        a UUID                               preferred_username, azp, groups (if mapped)
aws-outbound    the ARN of an IAM principal          those of https://sts.amazonaws.com/
kubernetes      system:serviceaccount:NAMESPACE:NAME those of kubernetes.io
buildkite       organization:SLUG:pipeline:SLUG:     organization_slug, pipeline_slug,
                ref:REF:commit:SHA:step:KEY          build_branch; organization_id if asked for
circleci        org/ID/project/ID/user/ID            oidc.circleci.com/project-id, …/org-id
=============== ==================================== ============================================

Sources, in this order:
https://docs.github.com/en/actions/reference/security/oidc
https://docs.gitlab.com/ci/secrets/id_token_authentication
https://developers.google.com/identity/openid-connect/reference
https://developer.okta.com/docs/reference/api/authorization-servers
https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference
https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
https://www.keycloak.org/docs/latest/server_admin
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_token_claims.html
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin
https://buildkite.com/docs/agent/v3/cli-oidc
https://circleci.com/docs/openid-connect-tokens
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.model import Kind

_HOST = r"https?://[^/]+"
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class Preset:
    """What holds for an issuer of this kind, where the configuration does not say otherwise.

    `form` is a regular expression for the whole ``iss`` of each; `example` shows one, and is the
    ``iss`` itself where all customers have the same (`fixed`). Without `name_claim` the name is the
    subject; where that cannot stand in a resource, it is a claim that can.
    """

    form: str
    example: str
    fixed: bool = False
    algorithms: tuple[str, ...] = ("RS256",)
    kind: Kind = "service"
    subject_claim: str = "sub"
    name_claim: str | None = None


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "github-actions": Preset(
            # also an enterprise's own, one with data residency, GitHub Enterprise Server's
            (
                r"https://token\.actions\.githubusercontent\.com(?:/[A-Za-z0-9_-]+)?|"
                rf"https://token\.actions\.[a-z0-9-]+\.ghe\.com|{_HOST}/_services/token"
            ),
            "https://token.actions.githubusercontent.com",
            fixed=True,
            name_claim="repository_id",
        ),
        "gitlab": Preset(
            rf"{_HOST}(?:/.*[^/])?",
            "https://gitlab.com",
            fixed=True,
            name_claim="project_id",
        ),
        "google": Preset(
            r"https://accounts\.google\.com",
            "https://accounts.google.com",
            fixed=True,
            kind="user",
        ),
        "okta": Preset(
            rf"{_HOST}(?:/oauth2/[A-Za-z0-9]+)?",
            "https://ORG.okta.com/oauth2/default",
            kind="user",
        ),
        "entra": Preset(
            # Not common or organizations: no token has those as its issuer.
            (
                rf"https://login\.microsoftonline\.(?:com|us)/{_ID}/v2\.0|"
                rf"https://sts\.windows\.net/{_ID}/"
            ),
            "https://login.microsoftonline.com/TENANT_ID/v2.0",
            kind="user",
            subject_claim="oid",
        ),
        "auth0": Preset(rf"{_HOST}/", "https://TENANT.auth0.com/", kind="user"),
        "keycloak": Preset(
            rf"{_HOST}(?:/.+)?/realms/[^/]+",
            "https://HOST/realms/REALM",
            algorithms=("RS256", "ES256", "EdDSA"),
            kind="user",
            name_claim="preferred_username",
        ),
        "aws-outbound": Preset(
            rf"https://{_ID}\.tokens\.sts\.global\.api\.aws",
            "https://ID.tokens.sts.global.api.aws",
            algorithms=("RS256", "ES384"),
        ),
        "kubernetes": Preset(
            rf"{_HOST}(?:/.*)?",
            "https://oidc.eks.REGION.amazonaws.com/id/ID",
            algorithms=("RS256", "ES256", "ES384", "ES512"),
        ),
        "buildkite": Preset(
            r"https://agent\.buildkite\.com",
            "https://agent.buildkite.com",
            fixed=True,
            name_claim="pipeline_slug",
        ),
        "circleci": Preset(
            rf"https://oidc\.circleci\.com/org/{_ID}",
            "https://oidc.circleci.com/org/ORG_ID",
            name_claim="oidc.circleci.com/project-id",
        ),
    }
)
"""By the name that `preset` of ``[inbound.issuers.NAME]`` has."""

_GITHUB = ("repository_owner_id", "repository_id", "enterprise_id")
_GITLAB = ("namespace_id", "project_id")
_CIRCLECI = ("oidc.circleci.com/org-id", "oidc.circleci.com/project-id")
_ENTRA = ("tid", "oid", "sub")
_PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of all personal accounts

PUBLIC: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "https://token.actions.githubusercontent.com/": (
            *_GITHUB,
            *("repository_owner", "repository", "enterprise"),
        ),
        "https://gitlab.com/": (*_GITLAB, "namespace_path", "project_path", "sub"),
        "https://accounts.google.com/": ("hd", "sub", "email"),
        "https://agent.buildkite.com/": (*("organization_slug", "organization_id", "pipeline_id"),),
        "https://oidc.circleci.com/": (*_CIRCLECI, "sub"),
        "https://login.microsoftonline.com/common/": _ENTRA,
        "https://login.microsoftonline.com/organizations/": _ENTRA,
        "https://login.microsoftonline.com/consumers/": _ENTRA,
        f"https://login.microsoftonline.com/{_PERSONAL}/": ("oid", "sub"),
    }
)
"""How each ``iss`` begins whose tokens anybody on earth can have (a slash put to its end), and the
claims that tell one's own from all others, the best one first.

A branch, an environment or a reusable workflow is not among them: anybody can have one of that
name, or call it. Nor is a subject whose form a repository's owner or the job itself can choose.
"""

MUTABLE = frozenset({"email", "preferred_username", "unique_name", "upn", "name"})
"""Claims of Entra that name somebody else after a change: never a subject.

https://learn.microsoft.com/en-us/entra/identity-platform/claims-validation
"""

ENTRA = ("https://login.microsoftonline.", "https://sts.windows.net/")
"""How each ``iss`` of Entra begins."""


def owners(issuer: str) -> tuple[str, ...]:
    """Return the claims of which `require` needs one; none for an issuer of one's own."""
    for begins, claims in PUBLIC.items():
        if f"{issuer}/".startswith(begins):
            return claims
    return ()
