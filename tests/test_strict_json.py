"""JSON and base64url: one text, one meaning."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli.strict_json import decode_base64url, parse_object
from support.issuer import base64url

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def nested(depth: int, left: str = '{"a":', right: str = "}") -> bytes:
    """Return an object of this many levels."""
    return (left * (depth - 1) + "{}" + right * (depth - 1)).encode()


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON))
def test_what_json_writes_is_read(value: dict[str, object]) -> None:
    """An object that JSON can write is read as itself."""
    assert parse_object(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"1", "is not a JSON object"),
        (b'{"a": 1} {}', "is not JSON"),
        (b'{"a": 1,}', "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        ("{}".encode("utf-16"), "is not UTF-8"),
        ("{}".encode("utf-16-le"), "is not JSON"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "is not UTF-8"),
        (b'{"a": "\\ud800"}', "is not JSON"),
        (b'{"a": 1, "a": 1}', "has a duplicate key"),
        (b'{"a": 1, "\\u0061": 1}', "has a duplicate key"),
        (b'{"b": [{"a": 1, "a": 2}]}', "has a duplicate key"),
        (b'{"a": NaN}', "holds NaN or an infinity"),
        (b'{"a": Infinity}', "holds NaN or an infinity"),
        (b'{"a": -Infinity}', "holds NaN or an infinity"),
        (b'{"a": 1e999}', "holds a number beyond all bounds"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON"),
        (nested(17), "is nested more than 16 deep"),
        (nested(17, '{"a":[', "]}"), "is nested more than 16 deep"),
        (b'{"a":' + b"[" * 100_000, "is nested more than 16 deep"),
    ],
)
def test_anything_else_is_refused(content: bytes, why: str) -> None:
    """UTF-8 JSON objects without byte-order mark, duplicate keys, NaN, or nesting over 16."""
    with pytest.raises(ValueError, match=f"^{why}$"):
        parse_object(content)


@pytest.mark.parametrize(
    "content", [nested(16), b'{"a": "[[[[[[[[[[[[[[[[[[[["}', b'{"\\"[[[[[[[[[[[[[[[[[": 1}']
)
def test_sixteen_levels_are_read(content: bytes) -> None:
    """Sixteen levels are not too many, and a bracket in a string is no level."""
    assert parse_object(content)


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_raise_anything_but_value_error(content: bytes) -> None:
    """Whatever the bytes are, they are an object or a ValueError."""
    try:
        assert isinstance(parse_object(content), dict)
    except ValueError as error:
        assert str(error).isascii()  # noqa: PT017 - both ends are fine


@settings(deadline=None)
@given(st.binary())
def test_base64url_returns_what_was_written(content: bytes) -> None:
    """Canonical base64url is read as the bytes that it was made of."""
    assert decode_base64url(base64url(content)) == content


@pytest.mark.parametrize(
    "text", ["YQ==", "YR", "Y", "YWJj ", "YW+/", "YWJj\n", " YWJj", "YWé", "YWJj=", "=", "YWJ\x00"]
)
def test_other_spellings_of_base64url_are_refused(text: str) -> None:
    """No padding, no foreign characters, no bits that stand for nothing."""
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)
