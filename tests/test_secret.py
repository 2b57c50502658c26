"""Secrets that do not show themselves, and text that is cleaned of them."""

from __future__ import annotations

import copy
import json
import pickle
import string
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.secret import MASK, Secret, SecretMapping, printable, redact, told

VALUE = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl_-0"
SESSION = "IQoJb3JpZ2luX2VjEBAaCWV1LXdlc3QtMSJHMEUCIQ+/=="
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
FORMS = {
    "jwt": JWT,
    "unsigned jwt": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
    "our key": f"aak_k3v9x2ab_{'Ab3' * 12}xy",
    "openai": "sk-proj-Ab3_dEf-0123456789012345",
    "hugging face": f"hf_{'aB3' * 8}",
    "hugging face, exchanged": f"hf_oauth_{'aB3' * 8}",
    "google": "ya29.a0AfH6SMBx-1234_567",
    "github": f"ghp_{'aB3' * 12}",
    "aws session": SESSION,
    "aws session of old": f"FwoGZXIvYXdzE{'aB3' * 10}",
    "pem": PEM,
}

PIECES = [
    *FORMS.values(),
    *("eyJ", "eyJhbGciOiJ", "sk-", "hf_", "session_token", "a" * 20, MASK),
    *("<SecretAccessKey>", "</SecretAccessKey>", "<"),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
    *(".", "-", " ", "=", ":", '"', "\\", "%3d", "\n"),
]


class TestSecret:
    """A string that does not show itself."""

    def test_it_can_be_had(self) -> None:
        """`reveal()` is the one way out."""
        assert Secret(VALUE).reveal() == VALUE

    def test_it_does_not_show(self) -> None:
        """Not in repr, str, f-strings, formats, containers."""
        secret = Secret(VALUE)
        shown = [
            repr(secret),
            str(secret),
            f"{secret}",
            f"{secret!r}",
            f"{secret!a}",
            f"{secret:>60}",
            "%s %r" % (secret, secret),  # noqa: UP031 - a way out like any other
            "{}".format(secret),  # noqa: UP032 - the same
            repr([secret, {"key": secret}]),
            str(ValueError(secret)),
        ]
        for text in shown:
            assert VALUE not in text
            assert MASK in text or ascii(MASK)[1:-1] in text

    def test_it_cannot_be_written_out(self) -> None:
        """JSON, pickle and copy raise, and what they raise holds nothing of it."""
        secret = Secret(VALUE)
        with pytest.raises(TypeError) as raised:
            json.dumps({"key": secret})
        assert VALUE not in str(raised.value)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(secret, protocol)
        for way in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                way(secret)
        assert not hasattr(secret, "__dict__")

    def test_a_traceback(self) -> None:
        """Not in tracebacks, not even those that show local variables."""
        secret = Secret(VALUE)

        def fail(given: Secret) -> None:
            raise RuntimeError(given)

        with pytest.raises(RuntimeError) as raised:
            fail(secret)
        told = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        text = "".join(told.format())
        assert repr(secret) in text
        assert VALUE not in text

    def test_it_is_no_string(self) -> None:
        """It is no `str`, since a subclass would leak through join and +."""
        secret = Secret(VALUE)
        assert not isinstance(secret, str)
        with pytest.raises(TypeError):
            "".join(list[str]([secret]))  # type: ignore[list-item]
        with pytest.raises(TypeError):
            "" + secret  # type: ignore[operator]

    def test_equality(self) -> None:
        """Equal to its like and to no string."""
        assert Secret("a") == Secret("a")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


class TestSecretMapping:
    """Credentials as a mapping."""

    def test_keyword_arguments(self) -> None:
        """Made for ``boto3.client("s3", **cred.credentials)``."""

        def client(**options: str) -> dict[str, str]:
            return options

        assert client(**SecretMapping({"a": VALUE})) == {"a": VALUE}

    def test_a_mapping(self) -> None:
        """It has the items, as plain strings."""
        items = {"a": VALUE, "b": "2"}
        mapping = SecretMapping(items)
        assert (dict(mapping), len(mapping), mapping["b"], "c" in mapping) == (items, 2, "2", False)
        items["a"] = "changed"
        assert mapping["a"] == VALUE

    def test_it_does_not_show(self) -> None:
        """Its repr is masked, and so are its views; the keys may be seen."""
        mapping = SecretMapping({"a": VALUE})
        assert repr(mapping) == f"{{'a': '{MASK}'}}"
        for text in (str(mapping), f"{mapping}", repr(mapping.items()), repr(mapping.values())):
            assert VALUE not in text

    def test_it_cannot_be_written_out(self) -> None:
        """Pickling it, or handing it to json, raises TypeError."""
        mapping = SecretMapping({"a": VALUE})
        with pytest.raises(TypeError):
            json.dumps(mapping)
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                way(mapping)


class TestRedact:
    """Text without secrets."""

    @pytest.mark.parametrize("secret", FORMS.values(), ids=FORMS)
    @pytest.mark.parametrize(
        "around", ["{}", "a {} b", "x={}", '"{}"', "({})", "{}\n", "Bearer {}", "a\\n{}", "%3d{}"]
    )
    def test_forms(self, secret: str, around: str) -> None:
        """What has the form of a secret becomes ••••, all of it and nothing else."""
        assert redact(around.format(secret)) == around.format(MASK)

    @pytest.mark.parametrize(
        "text",
        [
            "aws_secret_access_key = {}",
            "AWS_SECRET_ACCESS_KEY={}",
            'AWS_SECRET_ACCESS_KEY="{}"',
            "export AWS_SESSION_TOKEN='{}'",
            '{{"SecretAccessKey": "{}"}}',
            '{{"SessionToken":"{}"}}',
            '"{{\\"SecretAccessKey\\": \\"{}\\"}}"',
            "{{'sessionToken': '{}'}}",
            "<SecretAccessKey>{}</SecretAccessKey>",
            "<SessionToken>{}</SessionToken>",
        ],
    )
    @pytest.mark.parametrize("secret", [VALUE, JWT, SESSION, "a.b.c-d_e/f+g=h.i.j.k"])
    def test_names(self, text: str, secret: str) -> None:
        """A secret that its name gives away, whatever its form."""
        cleaned = redact(text.format(secret))
        assert MASK in cleaned
        assert not any(part in cleaned for part in (secret, secret[-10:], secret[:10]))

    def test_several(self) -> None:
        """All of them, each by itself."""
        assert redact(f"{JWT} and {SESSION}, {JWT}") == f"{MASK} and {MASK}, {MASK}"

    def test_a_key_that_has_no_end(self) -> None:
        """A private key that was cut off is masked to the end of the text."""
        assert redact(f"a {PEM[:50]}") == f"a {MASK}"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0" * 64,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "123e4567-e89b-12d3-a456-426614174000",
            "AKIAIOSFODNN7EXAMPLE ASIAIOSFODNN7EXAMPLE",
            "arn:aws:iam::111111111111:role/deploy",
            "arn:aws:s3:::acme/task-results-for-agent-0042/*",
            "arn:aws:iam::111111111111:role/risk-assessment-quarterly-2026",
            "disk-usage-of-the-build-machines",
            "okta/00u1abcdEFGH2345 L0123456789abcdef k3v9x2ab",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "eyJhbGciOiJub25lIn0 is the head of a token",
            "hf_token hf_jwt_decode hf_oauth_flow sk-short ghp_x ya29. aak_k3v9x2ab",
            "set aws_secret_access_key: see the manual",
            "the session_token was refused",
            "2026-11-23T10:00:00.000000Z",
        ],
    )
    def test_what_is_left_alone(self, text: str) -> None:
        """Only forms that no ordinary word has: hashes, ids, ARNs and prose stay."""
        assert redact(text) == text

    @given(
        st.lists(st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=30)),
        st.sampled_from([" ", ", ", "/", ":", "\n"]),
    )
    def test_words(self, words: list[str], between: str) -> None:
        """Words of letters and digits stay as they are."""
        text = between.join(words)
        assert redact(text) == text

    @given(st.text())
    def test_any_text_twice(self, text: str) -> None:
        """Idempotent."""
        assert redact(redact(text)) == redact(text)

    @given(
        st.lists(
            st.sampled_from(PIECES),
            max_size=12,
        )
    )
    def test_pieces_of_secrets_twice(self, pieces: list[str]) -> None:
        """Idempotent, also where one secret runs into another."""
        # "sk-" counts where no letter stands before it, as in "task-"
        once = redact("".join(f" {one}" if one.startswith("sk-") else one for one in pieces))
        assert redact(once) == once

    @pytest.mark.parametrize(
        "piece",
        [
            "eyJ",
            "eyJaaaaaaaa.",
            "eyJaaaaaaaa.eyJaaaaaaaa",
            "sk-",
            "-----BEGIN ",
            "-----BEGIN PRIVATE KEY",
            "-----BEGIN PRIVATE KEY-----",
            "-----END ",
            "<SecretAccessKey>",
            "session_token",
            "session_token ",
            "IQoJb3JpZ2lu",
            "A",
            " ",
        ],
    )
    def test_a_megabyte_made_to_take_long(self, piece: str) -> None:
        """Linear in the length of the text: the time limit of the tests is the judge."""
        for head in ("", "-----BEGIN PRIVATE KEY-----", "session_token"):
            redact(head + piece * (1_000_000 // len(piece)))


class TestPrintable:
    """Text on one line."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("", ""),
            ("plain, né, 日本, ••••", "plain, né, 日本, ••••"),
            ("a\x1b[31mred", r"a\x1b[31mred"),
            ("a\r\nb\tc\x00", r"a\r\nb\tc\x00"),
            ("\x7f\x9b", r"\x7f\x9b"),
            ("\u202egnp.exe", r"\u202egnp.exe"),
            ("\ud800", r"\ud800"),
            ("\U000e0001", r"\U000e0001"),
        ],
    )
    def test_examples(self, text: str, shown: str) -> None:
        """Control characters and lone surrogates as escapes."""
        assert printable(text) == shown

    @given(st.text(st.characters()))
    def test_any_text(self, text: str) -> None:
        """One line that a terminal takes as text; what was printable is unchanged."""
        shown = printable(text)
        assert shown.isprintable()
        assert shown.encode().decode() == shown
        assert not text.isprintable() or shown == text
        assert printable(shown) == shown


class TestTold:
    """What somebody else says, as it may be shown."""

    @given(st.text(max_size=300), st.text(min_size=1, max_size=40), st.text(max_size=300))
    def test_no_given_secret_is_shown(self, before: str, secret: str, after: str) -> None:
        """Whatever form it has: a key that is given is taken out wherever it stands."""
        marked = f"[{secret}]"  # else a short one could stand in the mask, or in what is left
        shown = told(before + marked + after, marked)
        assert printable(marked) not in shown
        assert len(shown) <= 200
        assert shown.isprintable()

    def test_nor_is_a_part_of_a_token(self) -> None:
        """Header, payload and signature of a JWT, each by itself; no word of the message."""
        token = "header-part.payload-part.the-signature"
        said = f"{token}: payload-part, the-signature, the header-part"
        assert told(said, token) == f"{MASK}: {MASK}, {MASK}, the {MASK}"
        assert told("no a in it", "a.in.it") == "no a in it"

    def test_nothing_given(self) -> None:
        """A credential without a session token has None for it; forms are masked all the same."""
        assert told(f"{SESSION}\n", None, "") == f"{MASK}\\n"
