"""Which folders hold what: configuration, state, data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SYSTEM = Path("/etc/agentauth")
APP = "agentauth"


@dataclass(frozen=True, slots=True)
class Places:
    """The three folders, absolute and without links; `default` says that nothing moved `config`."""

    config: Path
    state: Path
    data: Path
    default: bool


def find(environ: Mapping[str, str], system: Path = SYSTEM) -> Places:
    """Return the folders of this environment; none of them need exist.

    A config.toml of root's in `system` replaces the user's configuration whole. Raises ConfigError
    for a variable that is set and empty.
    """
    administered = _owned_by_root(system / "config.toml")
    own = _folder(environ, "AGENTAUTH_CONFIG_DIR", lambda: _platform("user_config_dir"))
    return Places(
        config=(system if administered else own).resolve(),
        state=_folder(environ, "AGENTAUTH_STATE_DIR", lambda: _platform("user_state_dir")),
        data=_folder(environ, "AGENTAUTH_DATA_DIR", lambda: _platform("user_data_dir")),
        default=not administered and "AGENTAUTH_CONFIG_DIR" not in environ,
    )


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
    return Path(environ[variable]).absolute()


def _platform(name: str) -> Path:
    import platformdirs

    return Path(getattr(platformdirs, name)(APP))
