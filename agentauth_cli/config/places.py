"""Which folders hold what: configuration, state, data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = Path("/etc/agentauth")
APP = "agentauth"
FOLDERS = "AGENTAUTH_CONFIG_DIR, AGENTAUTH_STATE_DIR and AGENTAUTH_DATA_DIR"


@dataclass(frozen=True)
class Places:
    """The three folders of an environment, absolute; none of them need exist.

    Each is found when it is asked for, so that one that cannot be found stops nothing that needs
    another: it raises ConfigError for a variable that is set and empty, and for a folder that
    cannot be found or noted. A config.toml of root's in `system` replaces the user's configuration
    whole.
    """

    environ: Mapping[str, str]
    system: Path = SYSTEM

    @cached_property
    def config(self) -> Path:
        """The configuration, without links: each ledger belongs to one, however it is reached."""
        return _without_links(self.system if self.administered else self._own)

    @cached_property
    def state(self) -> Path:
        """The ledger, and what is cached."""
        return _folder(self.environ, "AGENTAUTH_STATE_DIR", "user_state_dir")

    @cached_property
    def data(self) -> Path:
        """The note on which ledger belongs to which configuration."""
        return _folder(self.environ, "AGENTAUTH_DATA_DIR", "user_data_dir")

    @property
    def default(self) -> bool:
        """Whether nothing moved `config`."""
        return not self.administered and "AGENTAUTH_CONFIG_DIR" not in self.environ

    @property
    def _own(self) -> Path:
        return _folder(self.environ, "AGENTAUTH_CONFIG_DIR", "user_config_dir")

    @cached_property
    def administered(self) -> bool:
        """Whether a configuration of root's replaces the user's own."""
        return _owned_by_root(self.system / "config.toml")


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
    """Say whether the file is root's. Raises ConfigError where that cannot be seen."""
    try:
        return path.stat().st_uid == 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        hint = f"Let everybody read it: sudo chmod a+rX {path.parent}"
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=hint) from None


def _folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    if variable not in environ:
        return _platform(default)
    if not environ[variable]:
        raise ConfigError(f"{variable} is set and empty", hint=f"Set it, or unset {variable}")
    try:
        return Path(environ[variable]).absolute()
    except FileNotFoundError:
        why = f"{variable} is a relative path, and the current folder is gone"
        raise ConfigError(why, hint=f"Make {variable} absolute") from None


def _platform(name: str) -> Path:
    import platformdirs

    try:
        return Path(getattr(platformdirs, name)(APP)).absolute()
    except RuntimeError:
        raise ConfigError(
            f"the home folder of uid {os.getuid()} is not known", hint=f"Set HOME, or {FOLDERS}"
        ) from None
