"""The one way out over HTTP, against servers on loopback that do as they please."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agentauth_cli import transport
from agentauth_cli.errors import ProviderAnswerError, ProviderUnreachableError
from agentauth_cli.transport import Deadline, Response, is_loopback, send
from support.faulty import (
    Faulty,
    answer,
    cut,
    dribble,
    endless,
    html,
    redirect,
    refused_port,
    silence,
)

if TYPE_CHECKING:
    from pathlib import Path

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def get(url: str, **arguments: Any) -> Response:
    """Send a GET, with a short deadline where none is given."""
    arguments.setdefault("deadline", Deadline(5))
    return send("GET", url, **arguments)


# --- a good answer --------------------------------------------------------------------------------


def test_a_request_goes_out_as_it_was_given() -> None:
    """Method, path with query, headers and body; the host as it stands in the URL."""
    with Faulty([answer(b"made", 201, {"X-Said": "one"})]) as server:
        response = send(
            "POST",
            f"{server.url}/a/b?c=d%20e",
            deadline=Deadline(5),
            headers={"Authorization": "Bearer made-up"},
            body=b"\x00body",
        )
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/a/b?c=d%20e", b"\x00body")
    assert request.headers["authorization"] == "Bearer made-up"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["accept-encoding"] == "identity"
    assert (response.status, response.body) == (201, b"made")
    assert response.headers["x-said"] == "one"


@pytest.mark.parametrize("status", [200, 204, 400, 403, 404, 429, 500, 503])
def test_any_status_but_a_redirect_is_an_answer(status: int) -> None:
    """What a status means is the caller's business."""
    with Faulty([answer(b"", status)]) as server:
        assert get(server.url).status == status


def test_a_body_of_exactly_the_limit_is_read() -> None:
    """At most `limit` bytes of body."""
    with Faulty([answer(b"x" * 1000)]) as server:
        assert get(server.url, limit=1000).body == b"x" * 1000


@pytest.mark.parametrize(
    "said", [cut(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), cut(HEAD + b"\r\nabcde")]
)
def test_a_body_may_come_in_chunks_or_up_to_the_end(said: Any) -> None:
    """HTTP/1.1 has three ways to say where a body ends."""
    with Faulty([said]) as server:
        assert get(server.url).body == b"abcde"


def test_repeated_headers_are_joined() -> None:
    """Repeated headers are joined by a comma, none is lost."""
    with Faulty([cut(HEAD + b"X-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")]) as server:
        assert get(server.url).headers["x-a"] == "1, 2"


# --- answers that are refused ---------------------------------------------------------------------

REFUSED = {
    "a redirect": redirect("http://127.0.0.1:1/"),
    "not modified": answer(status=304),
    "larger than it may be": answer(b"x" * 2001),
    "a claim of 4 GiB": endless(HEAD + b"Content-Length: 4294967296\r\n\r\n", b"x" * 999),
    "no end of it": endless(HEAD + b"\r\n", b"x" * 9999),
    "no end of chunks": endless(CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
    "a chunk of every size": endless(CHUNKED + b"-1\r\n", b"x" * 9999),
    "a chunk of less than nothing": cut(CHUNKED + b"-5\r\nabc\r\n0\r\n\r\n"),
    "a chunk of no size": cut(CHUNKED + b"what\r\n"),
    "chunks cut short": cut(CHUNKED + b"5\r\nabc"),
    "a body cut short": cut(HEAD + b"Content-Length: 9\r\n\r\nabc"),
    "no body where one was said": cut(HEAD + b"Content-Length: 9\r\n\r\n"),
    "a flood of headers": endless(HEAD, b"X-A: b\r\n"),
    "a header without end": endless(HEAD + b"X-A: ", b"y" * 9999),
    "a line without end": endless(b"HTTP/1.1 200 ", b"y" * 9999),
    "go on, without end": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    "no HTTP": cut(b"\x16\x03\x01\x00 what is this\r\n\r\n"),
    "no status": cut(b"HTTP/1.1 fine OK\r\n\r\n"),
    "another HTTP": cut(b"HTTP/9.9 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("said", REFUSED.values(), ids=REFUSED.keys())
def test_an_answer_that_is_too_much_or_too_little_is_refused(said: Any) -> None:
    """A redirect, a flood, a body cut short, garbage: refused, naming host and port."""
    with Faulty([said]) as server:
        with pytest.raises(ProviderAnswerError, match=f"^127.0.0.1:{server.port}: "):
            get(server.url, limit=2000)
        assert len(server.requests) == 1


def test_a_large_answer_is_never_read_further() -> None:
    """The transport stops at the limit; what the server still has stays there."""
    said = endless(HEAD + b"\r\n", b"x" * 100_000)
    with Faulty([said]) as server, pytest.raises(ProviderAnswerError):
        get(server.url, limit=1000)
    assert server.sent < 32 << 20  # what the buffers of two sockets take


def test_a_page_with_status_200_is_handed_on() -> None:
    """What the bytes mean is for the caller to judge."""
    with Faulty([html()]) as server:
        assert b"<html>" in get(server.url).body


# --- no answer ------------------------------------------------------------------------------------

UNANSWERED = {
    "silence": silence(),
    "a status line by the byte": dribble(HEAD, 0.1),
    "headers by the byte": dribble(HEAD + b"X-A: " + b"y" * 99, 0.05),
    "a body by the byte": [HEAD + b"Content-Length: 99\r\n\r\n", *dribble(b"x" * 99, 0.05)],
    "chunks by the byte": [CHUNKED, *dribble(b"1\r\nx\r\n" * 99, 0.05)],
}


@pytest.mark.parametrize("said", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_one_deadline_holds_over_the_whole_call(said: Any) -> None:
    """One deadline over the whole call: a byte every now and then does not put it off."""
    with (
        Faulty([said]) as server,
        pytest.raises(ProviderUnreachableError, match=r"127.0.0.1:\d+: no answer within 0\.3 s"),
    ):
        get(server.url, deadline=Deadline(0.3))


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    """Attempts share one deadline: after it there is none."""
    with Faulty([answer()]) as server, pytest.raises(ProviderUnreachableError):
        get(server.url, deadline=Deadline(0))
    assert not server.requests


@pytest.mark.parametrize("said", [cut(), cut(b"")])
def test_hanging_up_without_a_word_is_no_answer(said: Any) -> None:
    """A closed connection is unreachable."""
    with Faulty([said]) as server, pytest.raises(ProviderUnreachableError):
        get(server.url)


def test_a_refused_connection_names_host_port_and_why() -> None:
    """Connection refused: which host and port, and why."""
    port = refused_port()
    with pytest.raises(ProviderUnreachableError, match=rf"127\.0\.0\.1:{port}: .*refused"):
        get(f"http://127.0.0.1:{port}/")


# --- names ----------------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network: exit 8, naming the host."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ProviderUnreachableError, match=r"sts\.example:443: .*Temporary failure"):
        get("https://sts.example/")


def test_a_resolver_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name resolution has a bound of its own, and is within the deadline."""
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(30) and [])
    monkeypatch.setattr(transport, "RESOLVE_SECONDS", 0.1)
    try:
        with pytest.raises(ProviderUnreachableError, match=r"within 0\.1 s"):
            get("https://sts.example/")
    finally:
        done.set()


def test_localhost_is_never_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http goes to loopback: localhost means 127.0.0.1 or ::1, whatever a resolver says."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("asked the resolver")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with Faulty([answer(b"here")]) as server:
        assert get(f"http://localhost:{server.port}/").body == b"here"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_known_by_its_address(host: str) -> None:
    """127.0.0.0/8, ::1 and localhost."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "10.0.0.1", "0.0.0.0", "::", "127.1", "2130706433", "::ffff:127.0.0.1"),  # noqa: S104
        *("localhost.example", "127.0.0.1.example", "example", "fe80::1%lo"),
    ],
)
def test_nothing_else_is_loopback(host: str) -> None:
    """Another way to write an address, or a name that only looks like it, is not loopback."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url",
    [
        "http://sts.example/",
        "http://169.254.169.254/latest",
        "http://127.1/",
        "http://localhost.example/",
        "http://127.0.0.1@sts.example/",
        "https://user:made-up-secret@127.0.0.1/",
        "https://127.0.0.1/#there",
        "https://127.0.0.1/a b",
        "https://127.0.0.1/\r\nX: y",
        "https://127.0.0.1\\@sts.example/",
        "https://sts.example:99999/",
        "https://sts.examplé/",
        "https://.example/",
        "https:///path",
        "https://[::1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "//127.0.0.1/",
        "",
    ],
)
def test_a_url_that_nothing_is_sent_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http elsewhere, user names, fragments, other schemes: refused before any connection."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("went out")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket, "socket", fail)
    with pytest.raises(ProviderUnreachableError) as caught:
        get(url)
    assert "made-up-secret" not in caught.value.message


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer made-up\r\nX: y"}, {"Authorization": "made-up-é"}]
)
def test_a_header_that_cannot_be_sent_is_named_and_not_quoted(headers: dict[str, str]) -> None:
    """A value with a line end sends nothing, and does not show itself."""
    with (
        Faulty([answer()]) as server,
        pytest.raises(ProviderUnreachableError, match="authorization") as caught,
    ):
        get(server.url, headers=headers)
    assert "made-up" not in str(caught.value)
    assert not server.requests


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and its own certificate, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def speaking(certificate: Path) -> ssl.SSLContext:
    """Return the TLS of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_https_with_the_given_bundle(certificate: Path) -> None:
    """`ca_bundle` says whom to trust."""
    with Faulty([answer(b"private")], speaking(certificate)) as server:
        assert get(server.url, ca_bundle=certificate).body == b"private"


def test_a_certificate_nobody_vouches_for_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A hostile environment neither adds a certificate nor has the keys written down."""
    log = tmp_path / "keys"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    with Faulty([answer()], speaking(certificate)) as server:
        with pytest.raises(ProviderUnreachableError, match=r"self.signed"):
            get(server.url)
        get(server.url, ca_bundle=certificate)
    assert len(server.requests) == 1
    assert not log.exists()


def test_a_certificate_for_another_name_is_refused(certificate: Path) -> None:
    """The name in the certificate is the one that was asked for."""
    with (
        Faulty([answer()], speaking(certificate)) as server,
        pytest.raises(ProviderUnreachableError, match="localhost"),
    ):
        get(f"https://localhost:{server.port}/", ca_bundle=certificate)
    assert not server.requests


def test_tls_1_1_is_refused(certificate: Path) -> None:
    """TLS 1.2 or later."""
    context = speaking(certificate)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Faulty([answer()], context) as server, pytest.raises(ProviderUnreachableError):
        get(server.url, ca_bundle=certificate)


def test_a_server_without_tls_is_unreachable(certificate: Path) -> None:
    """A failed handshake is unreachable, and says why."""
    with (
        Faulty([cut(b"HTTP/1.1 200 OK\r\n\r\n")]) as server,
        pytest.raises(ProviderUnreachableError),
    ):
        get(f"https://127.0.0.1:{server.port}/", ca_bundle=certificate, deadline=Deadline(0.5))


def test_a_handshake_that_never_comes_ends_with_the_deadline(certificate: Path) -> None:
    """The deadline holds over the handshake too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ProviderUnreachableError, match=r"within 0\.3 s"):
            get(f"https://127.0.0.1:{port}/", ca_bundle=certificate, deadline=Deadline(0.3))


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_bundle_that_does_not_load_is_no_bundle(tmp_path: Path, text: str | None) -> None:
    """A bundle that is missing or has no certificate trusts nobody, and says so."""
    bundle = tmp_path / "bundle.pem"
    if text is not None:
        bundle.write_text(text, encoding="ascii")
    with pytest.raises(ProviderUnreachableError, match="CA certificates"):
        get("https://127.0.0.1:1/", ca_bundle=bundle)


def test_the_system_certificates_are_those_compiled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without certificates trusts nobody, and says how to mend it."""
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile="/no", openssl_capath="/no")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    with pytest.raises(ProviderUnreachableError, match="ca_bundle"):
        get("https://127.0.0.1:1/")


# --- what it costs --------------------------------------------------------------------------------


def test_importing_it_loads_neither_http_nor_tls() -> None:
    """What costs is imported where it is needed."""
    code = (
        "import sys, agentauth_cli.transport;"
        "print(sorted({'http.client', 'ssl', 'socket', 'boto3', 'email'} & set(sys.modules)))"
    )
    bare: dict[str, str] = {}  # without what measures coverage, which imports on its own
    run = subprocess.run(
        [sys.executable, "-c", code], env=bare, capture_output=True, check=True, text=True
    )
    assert run.stdout == "[]\n"
