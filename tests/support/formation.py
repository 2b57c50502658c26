"""Applies CloudFormation templates of IAM with boto3, as far as `bootstrap aws` writes them.

The emulator's own CloudFormation has no OIDC providers. A resource, property or function that is
not known here is an error: nothing is left out in silence.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Stack:
    """A template that is being applied by `iam`, a client of boto3; `made` has the ARNs."""

    iam: Any
    parameters: Mapping[str, list[str]]
    made: dict[str, str] = field(default_factory=dict)

    def apply(self, template: str) -> None:
        """Make all of it, in the order of the references within."""
        whole = json.loads(template)
        assert whole["AWSTemplateFormatVersion"] == "2010-09-09"
        self._check(whole["Parameters"])
        waiting = dict(whole["Resources"])
        while waiting:
            ready = [
                name
                for name, one in waiting.items()
                if not any(f'"{other}"' in json.dumps(one) for other in waiting if other != name)
            ]
            assert ready, f"these wait for each other: {sorted(waiting)}"
            for name in ready:
                one = waiting.pop(name)
                assert sorted(one) == ["Properties", "Type"]
                kind = one["Type"].removeprefix("AWS::IAM::")
                self.made[name] = _MAKE[kind](self.iam, self._filled(one["Properties"]))

    def _check(self, declared: Mapping[str, Any]) -> None:
        """Hold the parameters to what the template takes, as CloudFormation does."""
        assert declared.keys() == self.parameters.keys()
        for name, one in declared.items():
            assert one["Type"] == "CommaDelimitedList"
            for value in self.parameters[name]:
                assert re.fullmatch(one["AllowedPattern"], value), f"{name}: {value}"

    def _filled(self, value: Any) -> Any:
        match value:
            case {"Ref": str(name), **rest} | {"Fn::GetAtt": [str(name), "Arn"], **rest}:
                assert not rest
                return self.parameters[name] if name in self.parameters else self.made[name]
            case dict():
                assert not any(key.startswith("Fn::") for key in value)
                return {key: self._filled(one) for key, one in value.items()}
            case list():
                return [self._filled(one) for one in value]
        return value


def _provider(iam: Any, said: dict[str, Any]) -> str:
    made: str = iam.create_open_id_connect_provider(ClientIDList=said.pop("ClientIdList"), **said)[
        "OpenIDConnectProviderArn"
    ]
    return made


def _policy(iam: Any, said: dict[str, Any]) -> str:
    made: str = iam.create_policy(
        PolicyName=said.pop("ManagedPolicyName"),
        PolicyDocument=json.dumps(said.pop("PolicyDocument")),
        **said,
    )["Policy"]["Arn"]
    return made


def _role(iam: Any, said: dict[str, Any]) -> str:
    trust = json.dumps(said.pop("AssumeRolePolicyDocument"))
    policies = said.pop("Policies")
    made: str = iam.create_role(AssumeRolePolicyDocument=trust, **said)["Role"]["Arn"]
    for one in policies:
        document = json.dumps(one["PolicyDocument"])
        iam.put_role_policy(
            RoleName=said["RoleName"], PolicyName=one["PolicyName"], PolicyDocument=document
        )
    return made


_MAKE = {"OIDCProvider": _provider, "ManagedPolicy": _policy, "Role": _role}
