"""Google Cloud, by its metadata server: plain HTTP, and never further than the next hop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from agentauth_cli import transport
from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.ci import asking
from agentauth_cli.inbound.ci.google import detect
from support.faulty import Faulty, answer, html, redirect, silence
from support.jobs import token

if TYPE_CHECKING:
    from agentauth_cli.secret import Secret
    from support.faulty import Part

FLAVOR = {"Metadata-Flavor": "Google"}
NOWHERE = Path("/does/not/exist")


def asked(server: Faulty, audience: str = "agentauth") -> Secret:
    """Ask for a token in a service of Cloud Run."""
    ask = detect({"K_SERVICE": "x", "GCE_METADATA_HOST": f"127.0.0.1:{server.port}"}, NOWHERE)
    assert ask is not None
    return ask(audience)


def refusal(environ: dict[str, str]) -> AuthenticationError:
    """Return why there is no token."""
    ask = detect({"K_SERVICE": "x", **environ}, NOWHERE)
    assert ask is not None
    with pytest.raises(AuthenticationError) as caught:
        ask("agentauth")
    return caught.value


def test_where_it_is(tmp_path: Path) -> None:
    """None = not here: neither Cloud Run nor a machine of Compute Engine."""
    product = tmp_path / "product_name"
    assert detect({}, NOWHERE) is None
    assert detect({}, tmp_path) is None
    for name, here in (
        *((b"Google\n", True), (b"Google Compute Engine\n", True)),
        *((b"Googleplex", False), (b"\xff", False), (b"", False)),
    ):
        product.write_bytes(name)
        assert (detect({}, product) is not None) == here
    for variable in ("K_SERVICE", "CLOUD_RUN_JOB"):
        assert detect({variable: ""}, NOWHERE) is not None


def test_the_metadata_server_is_asked_for_an_audience() -> None:
    """Header Metadata-Flavor both ways."""
    with Faulty([answer(f"{token('a b')}\n".encode(), headers=FLAVOR)]) as server:
        got = asked(server, "a b")
    assert got.reveal().startswith("eyJ")
    assert not got.reveal().endswith("\n")
    (request,) = server.requests
    target = urlsplit(request.target)
    assert target.path == "/computeMetadata/v1/instance/service-accounts/default/identity"
    assert parse_qs(target.query) == {"audience": ["a b"], "format": ["full"]}
    assert request.headers["metadata-flavor"] == "Google"


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (answer(token().encode()), "ambient_answer", "is not the metadata server"),
        (html(), "ambient_answer", "is not the metadata server"),
        (
            answer(token().encode(), headers={"Metadata-Flavor": "google"}),
            "ambient_answer",
            "is not the metadata server",
        ),
        (answer(b"", headers=FLAVOR), "ambient_answer", "what came is empty"),
        (answer(b"", 404, FLAVOR), "ambient_refused", "status 404"),
        (redirect("http://127.0.0.1:1/"), "ambient_answer", "a redirect (302)"),
        (answer(b"x" * (asking.LIMIT + 1), headers=FLAVOR), "ambient_answer", "larger than"),
    ],
)
def test_what_is_no_answer_is_refused(said: list[Part], reason: str, words: str) -> None:
    """Whatever else speaks at that address is not believed."""
    with Faulty([said]) as server:
        error = refusal({"GCE_METADATA_HOST": f"127.0.0.1:{server.port}"})
    assert error.reason == reason
    assert words in error.message


def test_a_silent_server_ends_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounded time."""
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    with Faulty([silence()]) as server:
        error = refusal({"GCE_METADATA_HOST": f"127.0.0.1:{server.port}"})
    assert error.reason == "ambient_unreachable"


@pytest.mark.parametrize(
    "host",
    ["metadata.evil.example", "10.0.0.1", "8.8.8.8", "[2001:db8::1]", "", "a@169.254.169.254"],
)
def test_plain_http_goes_no_further(host: str) -> None:
    """A link-local address only, or loopback: nothing that a router passes on."""
    assert refusal({"GCE_METADATA_HOST": host}).reason == "ambient_unreachable"


@pytest.mark.parametrize(
    ("named", "asked_at"),
    [
        (None, "169.254.169.254"),
        ("169.254.169.254", "169.254.169.254"),
        ("metadata.google.internal", "169.254.169.254"),
        ("metadata", "169.254.169.254"),
        ("169.254.7.7:8080", "169.254.7.7"),
        ("[fe80::1]", "fe80::1"),
    ],
)
def test_the_address_is_never_looked_up(
    monkeypatch: pytest.MonkeyPatch, named: str | None, asked_at: str
) -> None:
    """The names of the server mean its address, whatever a resolver says."""
    dialled: list[str] = []

    def dial(addresses: list[str], *_: object) -> None:
        dialled.extend(addresses)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(transport, "_dial", dial)
    error = refusal({} if named is None else {"GCE_METADATA_HOST": named})
    assert (error.reason, set(dialled)) == ("ambient_unreachable", {asked_at})
