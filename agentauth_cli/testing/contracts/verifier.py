"""What every `ports.IdentityVerifier` has to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import AuthenticationError

if TYPE_CHECKING:
    from agentauth_cli.ports import IdentityVerifier

_SECRET = "made-up-but-secret-all-the-same"  # noqa: S105 - made up


class IdentityVerifierContract:
    """Fixtures: `verifier`; `good`, a list of what it takes."""

    @pytest.fixture
    def verifier(self) -> IdentityVerifier:
        """Return the verifier to be tested."""
        pytest.fail("give the fixture `verifier`")

    @pytest.fixture
    def good(self) -> list[str]:
        """Return what it takes, as it is presented: with and without a scheme, of each kind."""
        pytest.fail("give the fixture `good`")

    def test_it_takes_what_is_good(self, verifier: IdentityVerifier, good: list[str]) -> None:
        """A principal with a whole id: issuer/subject."""
        assert good
        for presented in good:
            found = verifier.authenticate(presented)
            assert found.issuer
            assert found.user_id
            assert found.kind in ("user", "agent", "service")

    def test_it_refuses_what_was_changed(self, verifier: IdentityVerifier, good: list[str]) -> None:
        """A changed character, one more, one less: refused, with a reason for programs."""
        for presented in good:
            middle = len(presented) // 2
            other = "A" if presented[middle] != "A" else "B"
            changed = presented[:middle] + other + presented[middle + 1 :]
            for odd in (changed, presented + "x", presented[:-1]):
                with pytest.raises(AuthenticationError) as caught:
                    verifier.authenticate(odd)
                assert caught.value.reason

    @pytest.mark.parametrize(
        "presented",
        [
            *("", " ", "Bearer", "Bearer ", "Basic " + _SECRET, _SECRET, "Bearer " + _SECRET),
            *(f"Bearer {_SECRET} more", f"Bearer\t{_SECRET}", _SECRET + "\x00", "é" + _SECRET),
            *(f"{_SECRET}.{_SECRET}.{_SECRET}", "aak_" + _SECRET, _SECRET * 10_000),
        ],
    )
    def test_it_refuses_anything_else(self, verifier: IdentityVerifier, presented: str) -> None:
        """Anything less is an AuthenticationError, which never quotes what was presented."""
        with pytest.raises(AuthenticationError) as caught:
            verifier.authenticate(presented)
        assert caught.value.reason
        assert _SECRET not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
