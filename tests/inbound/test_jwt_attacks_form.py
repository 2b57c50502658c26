"""Attacks on the form: base64url, JSON, sizes and headers; RFC 8725, 2.4, 2.6, 3.7, 3.11.

CVE-2020-15957 (a second reading), CVE-2024-28176 and CVE-2024-33664 (bombs), CVE-2017-10862.
"""

from __future__ import annotations

import json
import zlib

import pytest

from support.attacks import EC, RSA, claims, payload, unsigned, verdict
from support.issuer import base64url

GOOD = RSA.token(claims())
PLACES = range(3)

SPELT = {
    "padding": "{}=",
    "two paddings": "{}==",
    "padding before": "={}",
    "space behind": "{} ",
    "space before": " {}",
    "tab": "{}\t",
    "newline behind": "{}\n",
    "newline before": "\n{}",
    "carriage return": "{}\r\n",
    "no-break space": "{}\u00a0",
    "zero-width space": "{}\u200b",
    "byte-order mark": "\ufeff{}",
    "nul": "{}\x00",
    "plus": "{}+",
    "slash": "{}/",
    "percent": "{}%3D",
    "comma": "{},",
    "quote": '"{}"',
    "umlaut": "{}é",
    "lone surrogate": "{}\udcff",
    "fullwidth": "{}\uff21",
    "arabic digit": "{}\u0661",
    "tilde": "{}~",
}


@pytest.mark.parametrize("place", PLACES, ids=["header", "payload", "signature"])
@pytest.mark.parametrize("spelt", SPELT)
def test_another_spelling_of_base64url(place: int, spelt: str) -> None:
    """Canonical base64url alone: no padding, no white space, nothing foreign, in any part."""
    parts = GOOD.split(".")
    parts[place] = SPELT[spelt].format(parts[place])
    assert verdict(".".join(parts), RSA.jwk()) == "token_encoding"


@pytest.mark.parametrize("place", PLACES, ids=["header", "payload", "signature"])
def test_white_space_within(place: int) -> None:
    """Lines of 64 characters are PEM's manner."""
    parts = GOOD.split(".")
    parts[place] = parts[place][:20] + "\n" + parts[place][20:]
    assert verdict(".".join(parts), RSA.jwk()) == "token_encoding"


@pytest.mark.parametrize("more", range(1, 4))
def test_bits_that_stand_for_nothing(more: int) -> None:
    """Of the spellings of the last byte one is canonical."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(GOOD.rpartition(".")[2]) % 4 == 2
    other = GOOD[:-1] + alphabet[alphabet.index(GOOD[-1]) + more]
    assert verdict(other, RSA.jwk()) == "token_encoding"


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "...", "....", " ", "\n", "null", "{}", "Bearer", "a.b", "a.b.c.d"),
        *(GOOD + ".", "." + GOOD, GOOD + "." + GOOD, GOOD.rpartition(".")[0], GOOD[:20]),
        GOOD.replace(".", "%2E"),
        GOOD.replace(".", "\u3002"),
        "a.b.c.d.e",
    ],
)
def test_three_parts(token: str) -> None:
    """A signed JWT is three parts between two dots."""
    expected = "token_json" if token == ".." else "token_form"
    assert verdict(token, RSA.jwk()) == expected


def test_the_json_serialisation() -> None:
    """The other serialisations of a JWS, with one signature or many, are no JWT (RFC 7519, 3)."""
    header, body, mark = GOOD.split(".")
    flat = {"protected": header, "payload": body, "signature": mark}
    whole = {"payload": body, "signatures": [{"protected": header, "signature": mark}]}
    for made in (flat, whole):
        assert verdict(json.dumps(made), RSA.jwk()) == "token_form"


@pytest.mark.parametrize("alg", ["RSA-OAEP", "dir", "ECDH-ES", "PBES2-HS256+A128KW", "none"])
def test_an_encrypted_token(alg: str) -> None:
    """A JWE has five parts; an issuer's public key would make one for anybody (RFC 8725, 2.3)."""
    header = base64url(json.dumps({"alg": alg, "enc": "A256GCM", "p2c": 2**31}).encode())
    assert verdict(f"{header}.AAAA.AAAA.AAAA.AAAA", RSA.jwk()) == "token_form"
    assert verdict(f"{header}.AAAA.AAAA", RSA.jwk()) == "token_json"


def test_a_token_in_a_token() -> None:
    """A nested JWT's payload is a token, not claims; the inner one is never looked at."""
    nested = RSA.header(cty="JWT")
    assert verdict(RSA.token(GOOD.encode(), nested), RSA.jwk()) == "token_json"
    assert verdict(RSA.token(json.dumps(GOOD).encode(), nested), RSA.jwk()) == "token_json"
    assert verdict(RSA.token({"jwt": GOOD}, nested), RSA.jwk()) == "issuer_unknown"


def test_a_compressed_payload() -> None:
    """`zip` is of encrypted tokens: nothing is unpacked (RFC 8725, 2.4)."""
    bomb = zlib.compress(json.dumps(claims(pad="0" * 10_000_000)).encode(), 9)
    assert verdict(RSA.token(bomb[:11_000], RSA.header(zip="DEF")), RSA.jwk()) == "token_json"


def test_a_detached_payload() -> None:
    """A payload that lies elsewhere (RFC 7515, appendix F) is none."""
    header, body, _ = GOOD.split(".")
    mark = base64url(RSA.signature(f"{header}.{body}".encode()))
    assert verdict(f"{header}..{mark}", RSA.jwk()) == "token_json"


@pytest.mark.parametrize("crit", [[], ["b64"], ["exp"], ["http://x"], None, "exp", {}, 1, [None]])
@pytest.mark.parametrize("understood", [True, False])
def test_critical_extensions(crit: object, *, understood: bool) -> None:
    """`crit` is refused, whatever it lists, and whether that is there (CVE-2025-59420)."""
    more = {"exp": 1, "http://x": 1} if understood else {}
    assert verdict(RSA.token(claims(), RSA.header(crit=crit, **more)), RSA.jwk()) == "crit_refused"


@pytest.mark.parametrize("b64", [True, False, None, 0, "false", []])
def test_an_unencoded_payload(b64: object) -> None:
    """`b64` is refused (RFC 7797 forbids it in a JWT)."""
    assert verdict(RSA.token(claims(), RSA.header(b64=b64)), RSA.jwk()) == "b64_refused"
    plain = json.dumps(claims(iss="x")).replace(".", "")
    signed = f"{base64url(json.dumps(RSA.header(b64=False)).encode())}.{plain}"
    token = f"{signed}.{base64url(RSA.signature(signed.encode()))}"
    assert verdict(token, RSA.jwk()) == "token_encoding"


@pytest.mark.parametrize(
    "typ",
    [
        *("", " JWT", "JWT ", "JWT\x00", "JOSE", "JWE", "JOSE+JSON", "id_token", "access_token"),
        *("dpop+jwt", "logout+jwt", "secevent+jwt", "kb+jwt", "vc+jwt", "sd+jwt", "dc+sd-jwt"),
        *("oauth-authz-req+jwt", "token-introspection+jwt", "client-authentication+jwt"),
        *("application/jwt", "application/at+jwt", "at jwt", "at-jwt", "entity-statement+jwt"),
        *(None, True, 0, 1, [], ["JWT"], {}, {"JWT": 1}),
    ],
)
def test_a_token_of_another_type(typ: object) -> None:
    """A token that was made for something else says so in `typ` (RFC 8725, 3.11)."""
    assert verdict(RSA.token(claims(), RSA.header(typ=typ)), RSA.jwk()) == "typ_refused"


def deep(levels: int, left: str, right: str) -> str:
    """Return a value of this many levels."""
    return left * levels + "1" + right * levels


JSONS = {
    "nothing": b"",
    "white space": b"  ",
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "string": b'"x"',
    "array": b"[]",
    "array of it": b"[" + json.dumps(claims()).encode() + b"]",
    "two objects": json.dumps(claims()).encode() * 2,
    "object and garbage": json.dumps(claims()).encode() + b"x",
    "cut": json.dumps(claims())[:-1].encode(),
    "comma at the end": json.dumps(claims())[:-1].encode() + b",}",
    "comment": payload('"x": 1 /* no */'),
    "single quotes": b"{'iss': 'x'}",
    "bare key": b"{iss: 1}",
    "nul behind": json.dumps(claims()).encode() + b"\x00",
    "utf-8 mark": b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
    "utf-16": json.dumps(claims()).encode("utf-16"),
    "utf-16 le": json.dumps(claims()).encode("utf-16-le"),
    "utf-16 be": json.dumps(claims()).encode("utf-16-be"),
    "utf-32": json.dumps(claims()).encode("utf-32"),
    "utf-7": b"+AHsAfQ-",
    "latin-1": payload('"x": "\u00e9"').decode().encode("latin-1"),
    "overlong": payload('"x": "_"').replace(b"_", b"\xc0\xaf"),
    "surrogate bytes": payload('"x": "_"').replace(b"_", b"\xed\xa0\x80"),
    "beyond unicode": payload('"x": "_"').replace(b"_", b"\xf4\x90\x80\x80"),
    "lone high": payload('"x": "\\ud800"'),
    "lone low": payload('"x": "\\udc00"'),
    "lone in key": payload('"\\uDFFF": 1'),
    "pair changed over": payload('"x": "\\udc00\\ud800"'),
    "half escape": payload('"x": "\\u12"'),
    "raw newline": payload('"x": "\n"'),
    "raw nul": payload('"x": "\x00"'),
    "NaN": payload('"x": NaN'),
    "Infinity": payload('"x": Infinity'),
    "-Infinity": payload('"x": -Infinity'),
    "1e400": payload('"x": 1e400'),
    "-1e400": payload('"x": -1e400'),
    "NaN deep": payload('"x": [{"y": [NaN]}]'),
    "leading zero": payload('"x": 01'),
    "plus sign": payload('"x": +1'),
    "bare point": payload('"x": .5'),
    "hexadecimal": payload('"x": 0x10'),
    "underscore": payload('"x": 1_0'),
    "thousands of digits": payload('"x": ' + "9" * 5000),
    "twice sub": payload('"sub": "root"'),
    "twice sub, the same": payload('"sub": "alice"'),
    "twice iss": payload('"iss": "https://other.test"'),
    "twice aud": payload('"aud": "x"'),
    "twice exp": payload('"exp": 99999999999'),
    "twice, escaped": payload('"s\\u0075b": "root"'),
    "twice, wholly escaped": payload('"\\u0073\\u0075\\u0062": "root"'),
    "twice in act": payload('"act": {"sub": "a", "sub": "b"}'),
    "twice in an array": payload('"x": [{"a": 1, "a": 2}]'),
    "twice at the bottom": payload(f'"x": {deep(13, "[", "]")[:13]}{{"a":1,"a":2}}{"]" * 13}'),
    "twice the empty key": payload('"": 1, "": 2'),
    "17 arrays": payload(f'"x": {deep(16, "[", "]")}'),
    "17 objects": payload(f'"x": {deep(16, chr(123) + chr(34) + "a" + chr(34) + ":", "}")}'),
    "2000 arrays": payload(f'"x": {deep(2000, "[", "]")}'),
    "2000 never closed": payload('"x": ' + "[" * 2000),
    "closed too often": payload('"x": ]]]]'),
}


@pytest.mark.parametrize("where", ["header", "payload"])
@pytest.mark.parametrize("form", JSONS)
def test_json_that_is_not_one_object(form: str, where: str) -> None:
    """Header and payload are UTF-8 JSON objects that every parser reads as the same."""
    token = RSA.token(JSONS[form]) if where == "payload" else RSA.token(claims(), JSONS[form])
    assert verdict(token, RSA.jwk()) == "token_json"


@pytest.mark.parametrize(
    "more",
    [
        f'"x": {deep(15, "[", "]")}',
        '"x": "' + "[" * 3000 + '"',
        '"x": "\\ud83d\\ude00"',
        '"x": 1.5e300',
        '"Sub": "root", "SUB": "root", "sub ": "root"',
        '"": 1',
        '"__proto__": {"sub": "root"}',
        '"x": [1, 2, {"a": {"sub": "root"}}]',
        '"X": "sub", "exp ": 1',
    ],
)
def test_json_that_is(more: str) -> None:
    """What JSON permits is no fault, and says nothing of who it is."""
    assert verdict(RSA.token(payload(more)), RSA.jwk()) == "accepted"


@pytest.mark.parametrize("size", [16_385, 20_000, 1_000_000])
@pytest.mark.parametrize("char", ["a", ".", "\u00e9"])
def test_a_huge_token(size: int, char: str) -> None:
    """At most 16 KiB before anything is parsed."""
    assert verdict(char * size, RSA.jwk()) == "token_too_large"


@pytest.mark.parametrize("where", ["header", "payload", "signature"])
def test_a_huge_part(where: str) -> None:
    """At most 16 KiB in all, wherever they stand."""
    pad = "x" * 13_000
    token = {
        "header": RSA.token(claims(), RSA.header(pad=pad)),
        "payload": RSA.token(claims(pad=pad)),
        "signature": GOOD + "A" * 16_000,
    }[where]
    assert verdict(token, RSA.jwk()) == "token_too_large"


def test_just_not_huge() -> None:
    """16 KiB are not too many."""
    fits = RSA.token(claims(pad="x" * 11_700))
    assert 16_000 < len(fits) <= 16_384
    assert verdict(fits, RSA.jwk()) == "accepted"


def test_two_readings_of_the_dot() -> None:
    """A token is taken apart once: what is signed is what is read."""
    header, body, mark = GOOD.split(".")
    evil = base64url(json.dumps(claims(sub="root")).encode())
    for token in (f"{header}.{evil}.{mark}", f"{header}.{body}{evil}.{mark}"):
        assert verdict(token, RSA.jwk()) in {"signature_invalid", "token_json", "token_encoding"}
    assert verdict(f"{header}.{evil}.{body}.{mark}", RSA.jwk()) == "token_form"


def test_an_empty_header_or_payload() -> None:
    """Empty objects are objects, and say nothing."""
    assert verdict(RSA.token({}), RSA.jwk()) == "issuer_unknown"
    assert verdict(EC.token(claims(), {}), EC.jwk()) == "algorithm_refused"
    assert verdict(f"{unsigned({}, {})}.", EC.jwk()) == "issuer_unknown"
