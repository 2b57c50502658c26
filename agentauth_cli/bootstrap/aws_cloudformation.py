"""AWS's side of an environment as a CloudFormation template, in JSON."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agentauth_cli.bootstrap import aws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.bootstrap.aws import Plan, ToolRole, Trusted

_OUTSIDE = re.compile(r"[^A-Za-z0-9]+")
_SOURCES = "SourcePrincipals"
_BOUNDARY = "Boundary"


class _Words:
    """How a template refers to the parts of a plan."""

    def provider(self, issuer: Trusted) -> Any:
        return issuer.host if issuer.built_in else {"Ref": _logical("Provider", issuer.name)}

    def subjects(self, issuer: Trusted) -> Any:
        return {"Ref": _logical("Subjects", issuer.name)}

    def sources(self) -> Any:
        return {"Ref": _SOURCES}

    def boundary(self) -> Any:
        return {"Ref": _BOUNDARY}

    def role(self, one: ToolRole) -> Any:
        return {"Fn::GetAtt": [_logical("Role", one.role.name), "Arn"]}


_WORDS = _Words()


def cloudformation(plan: Plan) -> str:
    """Return the template. Raises what `aws.boundary` raises."""
    resources = {
        **{
            _logical("Provider", one.name): _provider(plan, one)
            for one in plan.issuers
            if not one.built_in
        },
        _BOUNDARY: _policy(plan, "boundary", aws.boundary(plan)),
        **{_logical("Role", one.role.name): _role(plan, one) for one in plan.roles},
    }
    if not plan.issuers:
        resources["Source"] = _policy(plan, "source", aws.assuming(plan, _WORDS))
    if plan.revoked_by is not None:
        resources["Revoke"] = _policy(plan, "revoke", aws.revoking(plan, _WORDS))
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"agentauth's environment {plan.environment}, for account {plan.account}",
        "Parameters": _parameters(plan),
        "Resources": resources,
    }
    return json.dumps(template, indent=2) + "\n"


def _parameters(plan: Plan) -> dict[str, Any]:
    if not plan.issuers:
        return {_SOURCES: _list_of(f"Who source {plan.source} is at AWS: ARNs", aws.PRINCIPAL)}
    return {
        _logical("Subjects", one.name): _list_of(one.advice, aws.SUBJECT) for one in plan.issuers
    }


def _list_of(description: str, form: str) -> dict[str, str]:
    return {"Type": "CommaDelimitedList", "Description": description, "AllowedPattern": form}


def _provider(plan: Plan, issuer: Trusted) -> dict[str, Any]:
    return _resource(
        "OIDCProvider",
        Url=f"https://{issuer.host}",
        ClientIdList=[plan.audience],
        Tags=_tags(plan.tags()),
    )


def _policy(plan: Plan, name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return _resource("ManagedPolicy", ManagedPolicyName=plan.named(name), PolicyDocument=document)


def _role(plan: Plan, one: ToolRole) -> dict[str, Any]:
    return _resource(
        "Role",
        RoleName=one.role.name,
        Path=one.path,
        AssumeRolePolicyDocument=aws.trust(plan, _WORDS),
        PermissionsBoundary=_WORDS.boundary(),
        MaxSessionDuration=one.seconds,
        Policies=[{"PolicyName": aws.INLINE, "PolicyDocument": aws.permissions(one)}],
        Tags=_tags(plan.tags(one)),
    )


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::IAM::{kind}", "Properties": properties}


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _logical(kind: str, name: str) -> str:
    """Return a logical id: letters and digits alone, so that a hash keeps names apart."""
    words = "".join(word[:1].upper() + word[1:] for word in _OUTSIDE.split(name))
    return f"{kind}{words}{sha256(name.encode()).hexdigest()[:8]}"
