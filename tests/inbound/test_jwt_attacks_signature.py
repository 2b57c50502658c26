"""Attacks on the signature: Wycheproof's ideas for RSA, ECDSA and EdDSA, as JWTs carry them.

CVE-2022-21449 (r and s of zero), CVE-2024-42461 (DER), CVE-2020-13822 (a second encoding).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from agentauth_cli.strict_json import decode_base64url
from support.attacks import (
    BY_NAME,
    EC,
    ED,
    RSA,
    SIGNERS,
    claims,
    judge,
    keys,
    resigned,
    unsigned,
    verdict,
)
from support.issuer import base64url, signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.issuer import Signer

ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int(
        "ffffffffffffffffffffffffffffffffffffffffffffffff"
        "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        16,
    ),
    "ES512": int(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
}
ECDSA = [EC, signer("ES384"), signer("ES512")]
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "one byte": lambda good: good[:1],
    "zeros": lambda good: bytes(len(good)),
    "ones": lambda good: b"\xff" * len(good),
    "one": lambda good: bytes(len(good) - 1) + b"\x01",
    "first byte gone": lambda good: good[1:],
    "last byte gone": lambda good: good[:-1],
    "half": lambda good: good[: len(good) // 2],
    "zero before": lambda good: b"\x00" + good,
    "zero behind": lambda good: good + b"\x00",
    "newline behind": lambda good: good + b"\n",
    "twice": lambda good: good * 2,
    "halves changed over": lambda good: good[len(good) // 2 :] + good[: len(good) // 2],
    "backwards": lambda good: good[::-1],
    "first bit": lambda good: bytes([good[0] ^ 0x80]) + good[1:],
    "last bit": lambda good: good[:-1] + bytes([good[-1] ^ 0x01]),
    "hexadecimal": lambda good: good.hex().encode(),
    "base64 twice": lambda good: base64url(good).encode(),
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("made", SIGNERS, ids=BY_NAME)
def test_a_spoilt_signature(made: Signer, spoilt: str) -> None:
    """A signature that is empty, of zeros, cut, padded or changed is none."""
    good = made.token(claims())
    bad = SPOILT[spoilt](made.signature(good.rpartition(".")[0].encode()))
    assert verdict(resigned(good, bad), made.jwk()) == "signature_invalid"


OVER: dict[str, Callable[[str, str], str]] = {
    "the header alone": lambda header, _: header,
    "the payload alone": lambda _, body: body,
    "the parts without their dot": lambda header, body: header + body,
    "the parts changed over": lambda header, body: f"{body}.{header}",
    "the parts and a dot": lambda header, body: f"{header}.{body}.",
    "nothing": lambda _, __: "",
    "their hash": lambda header, body: hashlib.sha256(f"{header}.{body}".encode()).hexdigest(),
    "an empty header": lambda _, body: f".{body}",
    "padded parts": lambda header, body: f"{header}=.{body}=",
}


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("made", SIGNERS, ids=BY_NAME)
def test_a_signature_over_something_else(made: Signer, over: str) -> None:
    """A signature counts for the two parts as they stand in the token."""
    signed = unsigned(made.header(), claims())
    bad = made.signature(OVER[over](*signed.split(".")).encode())
    assert verdict(f"{signed}.{base64url(bad)}", made.jwk()) == "signature_invalid"


@pytest.mark.parametrize("made", SIGNERS, ids=BY_NAME)
def test_the_signature_of_another_token(made: Signer) -> None:
    """The good signature of one token makes no other one good."""
    mark = made.token(claims()).rpartition(".")[2]
    for other in (claims(sub="root"), claims(exp=claims()["exp"], more=1)):
        assert verdict(f"{unsigned(made.header(), other)}.{mark}", made.jwk()) == (
            "signature_invalid"
        )


def pair(signature: bytes) -> tuple[int, int]:
    """Return r and s of a raw signature."""
    half = len(signature) // 2
    return int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")


def raw(made: Signer, r: int, s: int) -> bytes:
    """Return r and s as a JWT has them, as long as the curve asks for."""
    size = (ORDERS[made.algorithm].bit_length() + 7) // 8
    most = 1 << (8 * size)
    return b"".join((number % most).to_bytes(size, "big") for number in (r, s))


EDGES: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "0, 0": lambda *_: (0, 0),
    "0, s": lambda _, s, __: (0, s),
    "r, 0": lambda r, _, __: (r, 0),
    "1, 1": lambda *_: (1, 1),
    "n, n": lambda _, __, n: (n, n),
    "n, s": lambda _, s, n: (n, s),
    "r, n": lambda r, _, n: (r, n),
    "r, s + n": lambda r, s, n: (r, s + n),
    "r + n, s": lambda r, s, n: (r + n, s),
    "n - 1, n - 1": lambda _, __, n: (n - 1, n - 1),
    "n - r, s": lambda r, s, n: (n - r, s),
    "n - r, n - s": lambda r, s, n: (n - r, n - s),
    "s, r": lambda r, s, _: (s, r),
    "r, r": lambda r, _, __: (r, r),
    "all ones": lambda *_: (-1, -1),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("made", ECDSA, ids=["ES256", "ES384", "ES512"])
def test_numbers_that_are_no_signature(made: Signer, edge: str) -> None:
    """R and s lie between 1 and n - 1, and are a signature (CVE-2022-21449)."""
    good = made.token(claims())
    r, s = pair(made.signature(good.rpartition(".")[0].encode()))
    numbers = EDGES[edge](r, s, ORDERS[made.algorithm])
    assert verdict(resigned(good, raw(made, *numbers)), made.jwk()) == "signature_invalid"


@pytest.mark.parametrize("made", ECDSA, ids=["ES256", "ES384", "ES512"])
def test_der_is_another_encoding(made: Signer) -> None:
    """A signature of ECDSA is r and s (RFC 7518, 3.4), not their DER form, of whatever length."""
    good = made.token(claims())
    r, s = pair(made.signature(good.rpartition(".")[0].encode()))
    der = encode_dss_signature(r, s)
    size = len(raw(made, r, s))
    padded = [der, der + bytes(1), der[:-1], (der + bytes(size))[:size], b"\x00" + der]
    for bad in padded:
        assert verdict(resigned(good, bad), made.jwk()) == "signature_invalid"


@pytest.mark.parametrize("made", ECDSA, ids=["ES256", "ES384", "ES512"])
def test_numbers_of_another_length(made: Signer) -> None:
    """Each number has the length that its curve asks for, whatever zeros stand before it."""
    good = made.token(claims())
    r, s = pair(made.signature(good.rpartition(".")[0].encode()))
    size = len(raw(made, r, s)) // 2
    for left, right in ((size + 1, size + 1), (size + 2, size), (size + 1, size), (size, size + 4)):
        bad = r.to_bytes(left, "big") + s.to_bytes(right, "big")
        assert verdict(resigned(good, bad), made.jwk()) == "signature_invalid"


@pytest.mark.parametrize("made", ECDSA, ids=["ES256", "ES384", "ES512"])
def test_the_other_half_is_the_same_token(made: Signer) -> None:
    """(r, n - s) is a signature too, by RFC 7518: of the same claims, so that nothing is gained."""
    good = made.token(claims())
    r, s = pair(made.signature(good.rpartition(".")[0].encode()))
    other = resigned(good, raw(made, r, ORDERS[made.algorithm] - s))
    source = keys(made.jwk())
    assert judge(other, source) == judge(good, source)


def test_eddsa_has_one_signature() -> None:
    """S of Ed25519 is under the order (RFC 8032, 5.1.7): S + L is no second spelling."""
    good = ED.token(claims())
    mark = ED.signature(good.rpartition(".")[0].encode())
    s = int.from_bytes(mark[32:], "little")
    for more in (ED25519_ORDER, 2 * ED25519_ORDER, -ED25519_ORDER, 2**255):
        bad = mark[:32] + ((s + more) % 2**256).to_bytes(32, "little")
        assert verdict(resigned(good, bad), ED.jwk()) == "signature_invalid"


@pytest.mark.parametrize(
    "point", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"]
)
def test_eddsa_with_a_point_of_small_order(point: bytes) -> None:
    """R of small order and S of zero are no signature of an honest key."""
    assert verdict(resigned(ED.token(claims()), point + bytes(32)), ED.jwk()) == "signature_invalid"


@pytest.mark.parametrize("form", ["s + n", "s as a number", "message", "padded message", "n - s"])
def test_numbers_that_are_no_rsa_signature(form: str) -> None:
    """An RSA signature is a number under n, as long as n, of the padded hash."""
    good = RSA.token(claims())
    signed = good.rpartition(".")[0].encode()
    s = int.from_bytes(RSA.signature(signed), "big")
    n = RSA.private.public_key().public_numbers().n
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(signed).digest()
    bad = {
        "s + n": (s + n).to_bytes(257, "big"),
        "s as a number": str(s).encode(),
        "message": signed[:256],
        "padded message": b"\x00\x01" + b"\xff" * (253 - len(info)) + b"\x00" + info,
        "n - s": (n - s).to_bytes(256, "big"),
    }[form]
    assert verdict(resigned(good, bad), RSA.jwk()) == "signature_invalid"


@pytest.mark.parametrize("made", [RSA, signer("PS256")], ids=["RS256", "PS256"])
def test_leading_zeros_belong_to_an_rsa_signature(made: Signer) -> None:
    """A signature is as long as n (RFC 8017, 8.1.2): OpenSSL takes a PSS one without its zeros."""
    for attempt in range(5000):
        good = made.token(claims(attempt=attempt))
        mark = decode_base64url(good.rpartition(".")[2])
        if mark[0] == 0:
            break
    assert verdict(good, made.jwk()) == "accepted"
    assert verdict(resigned(good, mark[1:]), made.jwk()) == "signature_invalid"
    assert verdict(resigned(good, b"\x00" + mark), made.jwk()) == "signature_invalid"


FORGED = {
    "short padding": lambda info: b"\x00\x01\xff\x00" + info + b"\xff" * (252 - len(info)),
    "garbage behind": lambda info: (
        b"\x00\x01" + b"\xff" * 8 + b"\x00" + info + bytes(245 - len(info))
    ),
    "no padding": lambda info: b"\x00\x01" + bytes(254 - len(info)) + info,
    "block type 0": lambda info: bytes(256 - len(info)) + info,
    "block type 2": lambda info: b"\x00\x02" + b"\xff" * (253 - len(info)) + b"\x00" + info,
    "another byte": lambda info: b"\x00\x01" + b"\xfe" * (253 - len(info)) + b"\x00" + info,
    "no hash name": lambda info: b"\x00\x01" + b"\xff" * 221 + b"\x00" + info[-32:],
    "the hash of another name": lambda info: (
        b"\x00\x01" + b"\xff" * (253 - len(info)) + b"\x00" + info.replace(b"\x02\x01", b"\x02\x03")
    ),
    "without parameters": lambda info: (
        b"\x00\x01"
        + b"\xff" * (255 - len(info))
        + b"\x00"
        + bytes.fromhex("302f300b0609608648016503040201")
        + info[-34:]
    ),
}


@pytest.mark.parametrize("forged", FORGED)
def test_padding_that_is_none(forged: str) -> None:
    """PKCS #1 v1.5 is compared whole: what Bleichenbacher's forgeries leave open is closed.

    The owner of the key signs it here, so that only the padding is wrong.
    """
    good = RSA.token(claims())
    signed = good.rpartition(".")[0].encode()
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(signed).digest()
    numbers = RSA.private.private_numbers()
    n = numbers.public_numbers.n
    encoded = FORGED[forged](info)
    assert len(encoded) == 256
    bad = pow(int.from_bytes(encoded, "big"), numbers.d, n).to_bytes(256, "big")
    assert verdict(resigned(good, bad), RSA.jwk()) == "signature_invalid"
