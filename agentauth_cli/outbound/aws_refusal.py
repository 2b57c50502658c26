"""What a refusal of STS means for the configuration, whichever way the session was asked for.

Sources: the STS API reference, AssumeRole, "Errors"; the IAM user guide, "Roles terms and
concepts", on role chaining.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentauth_cli.outbound.aws_call import Call
    from agentauth_cli.outbound.aws_query import Refusal

_CODES = {
    "MalformedPolicyDocument": (
        "See the tool's permissions and resource: `agentauth vend TOOL --dry-run` shows the policy"
    ),
    "RegionDisabledException": "Activate STS for that region in the account, or set another region",
}


def hint(call: Call, refusal: Refusal) -> str | None:
    """Return what to do about it, None where that is not known."""
    if refusal.code == "PackedPolicyTooLarge":
        tagged = ", or set `session_tags = false`" if "Tags" in call.parameters else ""
        return f"Give the tool fewer grants, permissions or policy_arns{tagged}"
    if refusal.code == "ValidationError" and "DurationSeconds" in refusal.why:
        return _duration(refusal.why)
    return _CODES.get(refusal.code)


def _duration(why: str) -> str:
    if "chaining" in why:
        return (
            "The source is the session of a role, which mints for an hour at most: set a shorter "
            "`duration`, or another source"
        )
    return (
        "Set a shorter `duration`, or a longer session of the role: run `agentauth bootstrap aws`"
    )
