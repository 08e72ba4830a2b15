"""Where the variables that are not set come from: systemd's directories, the home, the exchange's hosts.

Rules: functions of a mapping, as `config.py`; what a client looks for is derived as the daemon itself derives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kalshi_daemon.hosts import REST_URLS, WS_URLS, Environment

CREDENTIAL: Final = "kalshi-key"  # the name of the key in the unit's LoadCredential
SERVICE_SOCKET: Final = Path("/run/kalshi-daemon/control.sock")  # where the unit's RuntimeDirectory puts it


def control_sockets(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a client looks for a daemon: where this environment's daemon would listen, then where the service does."""
    if "KALSHI_CONTROL_SOCKET" in variables:
        return (Path(variables["KALSHI_CONTROL_SOCKET"]),)
    derived = derived_defaults(variables).get("KALSHI_CONTROL_SOCKET")
    return (Path(derived), SERVICE_SOCKET) if derived else (SERVICE_SOCKET,)


def state_directory(variables: Mapping[str, str]) -> str:
    """Where this environment's daemon keeps its journal; empty where nothing says it."""
    return {**derived_defaults(variables), **variables}.get("KALSHI_STATE_DIR", "")


def derived_defaults(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables whose default depends on the environment. systemd's directories may be lists: the first is ours."""
    try:
        environment = Environment(variables.get("KALSHI_ENVIRONMENT", Environment.DEMO))
    except ValueError:
        environment = Environment.DEMO  # the error for the variable itself is raised when it is read
    found = {
        "KALSHI_REST_URLS": ",".join(REST_URLS[environment]),
        "KALSHI_WS_URLS": ",".join(WS_URLS[environment]),
    }
    if credentials := variables.get("CREDENTIALS_DIRECTORY"):
        found["KALSHI_PRIVATE_KEY_FILE"] = f"{credentials}/{CREDENTIAL}"
    if state := variables.get("STATE_DIRECTORY", "").split(":")[0]:
        found["KALSHI_STATE_DIR"] = state
    elif home := variables.get("XDG_STATE_HOME") or (variables.get("HOME") and variables["HOME"] + "/.local/state"):
        found["KALSHI_STATE_DIR"] = f"{home}/kalshi-daemon"
    state_dir = variables.get("KALSHI_STATE_DIR", found.get("KALSHI_STATE_DIR"))
    if runtime := variables.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        found["KALSHI_CONTROL_SOCKET"] = f"{runtime}/control.sock"
    elif state_dir:
        found["KALSHI_CONTROL_SOCKET"] = f"{state_dir}/control/control.sock"  # a folder that its group may enter
    return found
