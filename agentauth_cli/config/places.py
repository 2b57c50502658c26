"""Which folders hold what: configuration, state, data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SYSTEM = Path("/etc/agentauth")
APP = "agentauth"


@dataclass(frozen=True, slots=True)
class Places:
    """The three folders, absolute; `default` says that nothing moved `config`.

    `config` is without links, so that each ledger belongs to one folder, however it is reached.
    """

    config: Path
    state: Path
    data: Path
    default: bool


def find(environ: Mapping[str, str], system: Path = SYSTEM) -> Places:
    """Return the folders of this environment; none of them need exist.

    A config.toml of root's in `system` replaces the user's configuration whole. Raises ConfigError
    for a variable that is set and empty, and for a folder that cannot be found or noted.
    """
    administered = _owned_by_root(system / "config.toml")
    own = _folder(environ, "AGENTAUTH_CONFIG_DIR", lambda: _platform("user_config_dir"))
    return Places(
        config=_without_links(system if administered else own),
        state=_folder(environ, "AGENTAUTH_STATE_DIR", lambda: _platform("user_state_dir")),
        data=_folder(environ, "AGENTAUTH_DATA_DIR", lambda: _platform("user_data_dir")),
        default=not administered and "AGENTAUTH_CONFIG_DIR" not in environ,
    )


def make(folder: Path) -> None:
    """Make a folder with mode 0700 where there is none, and those above it. Raises StateError."""
    if not os.path.exists(folder):  # noqa: PTH110 - one below a closed folder is not there either
        files.private_folder(folder)


def _without_links(path: Path) -> Path:
    try:
        found = path.resolve()
        found.as_posix().encode()  # the ledger is noted by this name, in a file of UTF-8
    except UnicodeEncodeError:
        raise ConfigError(f"the name {path} is not UTF-8", hint="Give the folder another") from None
    except (OSError, RuntimeError):  # Python 3.13 has the one, those before the other
        raise ConfigError(f"the links of {path} lead in a circle", hint="Mend them") from None
    return found


def _owned_by_root(path: Path) -> bool:
    try:
        return path.stat().st_uid == 0
    except OSError:
        return False


def _folder(environ: Mapping[str, str], variable: str, default: Callable[[], Path]) -> Path:
    if variable not in environ:
        return default()
    if not environ[variable]:
        raise ConfigError(f"{variable} is set and empty", hint=f"Set it, or unset {variable}")
    try:
        return Path(environ[variable]).absolute()
    except FileNotFoundError:
        why = f"{variable} is a relative path, and the current folder is gone"
        raise ConfigError(why, hint=f"Make {variable} absolute") from None


def _platform(name: str) -> Path:
    import platformdirs

    return Path(getattr(platformdirs, name)(APP)).absolute()
