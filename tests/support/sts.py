"""Answers of STS as XML: good ones, and one for each way in which they can be bad."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from support.faulty import answer

if TYPE_CHECKING:
    from support.faulty import Part

NOW = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)
ACCOUNT = "111111111111"
REQUEST_ID = "11111111-2222-4333-8444-555555555555"
KEYS = {
    "AccessKeyId": "MADE-UP-KEY-ID",
    "SecretAccessKey": "made-up-secret-value",
    "SessionToken": "made-up-session-token-value",
}


def credential(
    session: str,
    *,
    operation: str = "AssumeRole",
    role: str = "put_file",
    account: str = ACCOUNT,
    expires: str | None = None,
    seconds: int = 900,
    arn: str | None = None,
    without: str = "",
    twice: str = "",
    **other: str,
) -> list[Part]:
    """Return the answer to AssumeRole, or another `operation`, for a session of a role.

    `expires` is the time as text, `seconds` from NOW otherwise. `without` leaves an element out,
    `twice` says one again, `other` gives one another value.
    """
    end = expires or (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = _elements({**KEYS, "Expiration": end, **other}, without, twice)
    whose = arn or f"arn:aws:sts::{account}:assumed-role/{role}/{session}"
    user = _elements({"AssumedRoleId": f"MADE-UP:{session}", "Arn": whose}, without, twice)
    whole = _elements({"Credentials": keys, "AssumedRoleUser": user}, without, twice)
    return answer(
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<{operation}Result>{whole}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata>"
        f"</{operation}Response>".encode(),
        headers={"Content-Type": "text/xml"},
    )


def error(code: str, message: str, status: int = 403, **headers: str) -> list[Part]:
    """Return an error as STS words it, with its request id."""
    return answer(
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>".encode(),
        status,
        {"Content-Type": "text/xml", **{k.replace("_", "-"): v for k, v in headers.items()}},
    )


def _elements(values: dict[str, str], without: str, twice: str) -> str:
    return "".join(
        f"<{name}>{value}</{name}>" * (2 if name == twice else 1)
        for name, value in values.items()
        if name != without
    )
