"""The credential that mints the others: from boto3's own chain, or one of its profiles.

What fetches it (SSO, the metadata service, a chained profile) is botocore's own way out. It is
never agentauth itself, and never a prompt.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError, RecursionRefusedError, SourceCredentialError
from agentauth_cli.secret import told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from botocore.credentials import ReadOnlyCredentials
    from botocore.session import Session

INSIDE = "AGENTAUTH_INSIDE"
_PROFILE = "profile:"
_SECONDS = 20.0
_OURSELVES = re.compile(r"(?:^|[\s/'\"])agentauth(?:_cli)?(?=$|[\s'\";&|])")


def profile_of(source: str) -> str | None:
    """Return the profile's name, None for boto3's own chain."""
    if source == "ambient":
        return None
    name = source.removeprefix(_PROFILE)
    if name == source or not name:
        raise ConfigError(f"source {source!r} is not known", hint="Use ambient or profile:NAME")
    return name


def source_credential(profile: str | None, seconds: float = _SECONDS) -> ReadOnlyCredentials:
    """Return the credential to mint with.

    Raises SourceCredentialError where there is none, where getting it would ask a person or takes
    longer than `seconds`, and RecursionRefusedError where it would come from agentauth.
    """
    from botocore.exceptions import BotoCoreError, ClientError, LoginError, SSOError
    from botocore.exceptions import TokenRetrievalError as TokenError

    named = _named(profile)
    try:
        session = _session(profile)
        fetched = _fetched(session, seconds)
        if not fetched.done():
            why = f"profile {named}: its source took longer than {seconds:g} s"
            raise SourceCredentialError(why, hint="See its credential_process, or log in to it")
        frozen = fetched.result()
    except (SSOError, TokenError) as error:
        why = f"profile {named}: {told(str(error))}"
        raise SourceCredentialError(why, hint=f"Run `aws sso login --profile {named}`") from None
    except LoginError as error:
        why = f"profile {named}: {told(str(error))}"
        raise SourceCredentialError(why, hint=f"Run `aws login --profile {named}`") from None
    except (BotoCoreError, ClientError) as error:
        raise SourceCredentialError(f"profile {named}: {told(str(error))}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        # What boto3 lets through from a credential_process or a cached token that is none.
        raise SourceCredentialError(f"profile {named}: {type(error).__name__}") from None
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        raise SourceCredentialError(f"AWS has none for profile {named}")
    return frozen


def check_source(profile: str | None) -> None:
    """Judge a source without fetching anything of it.

    Raises SourceCredentialError where there is no such profile or it would ask a person, and
    RecursionRefusedError where it asks agentauth.
    """
    from botocore.exceptions import BotoCoreError

    try:
        _session(profile)
    except BotoCoreError as error:
        raise SourceCredentialError(f"profile {_named(profile)}: {told(str(error))}") from None


def _named(profile: str | None) -> str:
    ambient = os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE")
    return told(shlex.quote(profile or ambient or "default"))


def _session(profile: str | None) -> Session:
    from botocore.session import Session

    session = Session(profile=profile)
    # Keys in the environment come first in the chain: then no profile is looked at.
    if profile is not None or not os.environ.get("AWS_ACCESS_KEY_ID"):
        session.get_scoped_config()  # raises ProfileNotFound
        _check_profile(session.profile or "default", session.full_config["profiles"])
    return session


def _fetched(session: Session, seconds: float) -> Future[ReadOnlyCredentials | None]:
    """Fetch the credential; not done where that takes longer. boto3 itself may wait for ever."""
    from concurrent.futures import Future

    fetched: Future[ReadOnlyCredentials | None] = Future()

    def fetch() -> None:
        try:
            found = session.get_credentials()
            fetched.set_result(found.get_frozen_credentials() if found is not None else None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            fetched.set_exception(error)

    thread = threading.Thread(target=fetch, daemon=True)  # what hangs must not hold the exit
    with _INSIDE:  # here and not in the thread, so that it ends also where the thread does not
        thread.start()
        thread.join(seconds)
    return fetched


def _check_profile(name: str, profiles: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a profile that, itself or by its source_profile, asks a person or agentauth."""
    seen: set[str] = set()
    while name in profiles and name not in seen:
        seen.add(name)
        profile = profiles[name]
        named = told(name)
        if _OURSELVES.search(str(profile.get("credential_process", ""))):
            raise RecursionRefusedError(f"the credential_process of profile {named} is agentauth")
        if "role_arn" in profile and "mfa_serial" in profile:
            raise SourceCredentialError(
                f"profile {named} has mfa_serial, and nobody can be asked for a code here",
                hint="Use a profile without, or one of `aws sso login`",
            )
        name = str(profile.get("source_profile", ""))


class _Inside:
    """Tells a credential_process that agentauth is asking, so that agentauth refuses as one.

    The environment is the process's, and threads may ask at once: the first one in sets the
    variable, the last one out takes it away. A process that forks meanwhile is not inside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking = 0
        self._before: str | None = None
        self._watched = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._watched:
                os.register_at_fork(after_in_child=self._forked)
                self._watched = True
            if not self._asking:
                self._before = os.environ.get(INSIDE)
                os.environ[INSIDE] = "1"
            self._asking += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._asking -= 1
            self._restore()

    def _forked(self) -> None:
        self._lock = threading.Lock()  # another thread may have held it
        if self._asking:
            self._asking = 0
            self._restore()

    def _restore(self) -> None:
        if self._asking:
            return
        if self._before is None:
            os.environ.pop(INSIDE, None)
        else:
            os.environ[INSIDE] = self._before


_INSIDE = _Inside()
"""One, as there is one environment."""
