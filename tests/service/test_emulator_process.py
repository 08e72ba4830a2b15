"""`kalshi-daemon emulator` as a process, over loopback: faults from the command line bite a real client and are
switched over real HTTP, and TLS is as good or as wrong as it is told to be.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from processes import clean_environment, emulator, run

from kalshi_daemon.errors import EXIT_ABSENT, EXIT_CONFIGURATION
from kalshi_daemon.shell.signer import load_signer

FAULTS = "/emulator/faults"


def control(
    variables: Mapping[str, str], method: str, path: str, body: object = None, *, verified: bool = True
) -> dict[str, object]:
    """One request at the emulator's own door."""
    url = urlsplit(variables["KALSHI_REST_URLS"])
    trusted: bool | ssl.SSLContext = False
    if verified and url.scheme == "https":
        trusted = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])
    with httpx.Client(verify=trusted, trust_env=False, timeout=30) as client:
        headers = {"Content-Type": "application/json"}
        answer = client.request(method, f"{url.scheme}://{url.netloc}{path}", json=body, headers=headers)
    found: dict[str, object] = answer.raise_for_status().json()
    return found


def doctor(variables: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    """Its exit code, and what failed: the step and what was said."""
    done = run("doctor", "--json", variables={**variables, "KALSHI_CONTROL_SOCKET": "/nonexistent/control.sock"})
    assert done.stderr == ""
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, {each["step"]: each["detail"] for each in findings if each["outcome"] == "failed"}


def test_a_fault_of_the_command_line_bites_until_it_is_cleared(tmp_path: Path) -> None:
    """The doctor is refused its upgrade, the bite is counted, and without the fault all is well."""
    with emulator(tmp_path, 1, "--fault", "upgrade:503", "--fault", "slow:0.1%50") as variables:
        code, failed = doctor(variables)
        assert (code, list(failed)) == (EXIT_ABSENT, ["upgrade"])
        assert "503" in failed["upgrade"]
        (first, second) = control(variables, "GET", FAULTS)["faults"]  # type: ignore[misc]
        assert first == {"number": 1, "fault": "upgrade", "acts": True, "bites": 1}
        assert second["fault"] == "slow:0.1%50"
        assert control(variables, "DELETE", f"{FAULTS}/1", {}) == {"cleared": 1}
        assert control(variables, "POST", FAULTS, {"fault": "error:429:/account/limits"}) == {"number": 3}
        code, failed = doctor(variables)
        assert list(failed) == ["rest private"]
        assert control(variables, "DELETE", FAULTS, {}) == {"cleared": 2}
        assert doctor(variables) == (0, {})


def test_tls_is_good_for_who_trusts_its_authority(tmp_path: Path) -> None:
    """By SSL_CERT_FILE, as printed; to anybody else, and where a fault has it wrong, the doctor says what is wrong."""
    with emulator(tmp_path, 1, "--tls") as variables:
        assert variables["KALSHI_WS_URLS"].startswith("wss://127.0.0.1:")
        assert doctor(variables) == (0, {})
        stranger = {name: value for name, value in variables.items() if name != "SSL_CERT_FILE"}
        said = [doctor(stranger)]
        for fault in ("tls", "tls:expired"):
            control(variables, "POST", FAULTS, {"fault": fault})
            said.append(doctor(variables))
            control(variables, "DELETE", FAULTS, {}, verified=False)  # the door has the same certificate
        assert [(code, list(failed)) for code, failed in said] == [(EXIT_ABSENT, ["tls"])] * 3
        for (_, failed), words in zip(
            said, ("local issuer certificate", "address mismatch", "has expired"), strict=True
        ):
            assert "failed TLS" in failed["tls"]
            assert words in failed["tls"]
        assert doctor(variables) == (0, {})


@pytest.mark.parametrize("name", ["emulator", "demo"])
def test_a_fault_of_tls_needs_tls(tmp_path: Path, name: str) -> None:
    """One line and 78, where nothing would ever meet it."""
    done = run(name, "--fault", "tls:expired", variables=clean_environment(tmp_path))
    assert (done.stdout, done.returncode, done.stderr.count("\n")) == ("", EXIT_CONFIGURATION, 1)
    assert "emulator --tls" in done.stderr


def test_settings_and_faults_of_the_command_line_hold(tmp_path: Path) -> None:
    """A key that may only read, the limits of a tier, an error once: as a client meets them over real sockets."""
    chosen = ("--set", "scopes=read", "--set", "tier=premier", "--fault", "error:503:/account/limitsx1")
    with emulator(tmp_path, 1, *chosen, "--fault", "pause") as variables:
        base = variables["KALSHI_REST_URLS"]
        signer = load_signer(variables["KALSHI_API_KEY_ID"], variables["KALSHI_PRIVATE_KEY_FILE"])
        path = urlsplit(base).path

        def ask(method: str, target: str, body: object = None) -> httpx.Response:
            headers = signer.headers(method, path + target, round(time.time() * 1_000))
            return httpx.request(method, base + target, json=body, headers=headers, trust_env=False, timeout=30)

        assert [ask("GET", "/account/limits").status_code for _ in range(2)] == [503, 200]
        limits = ask("GET", "/account/limits").json()
        assert (limits["usage_tier"], limits["read"]["refill_rate"]) == ("premier", 1_000)
        assert ask("GET", "/exchange/status").json()["trading_active"] is False
        refused = ask("DELETE", "/portfolio/events/orders")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        assert ask("GET", "/api_keys").json()["api_keys"][0]["scopes"] == ["read"]
        assert control(variables, "DELETE", FAULTS, {}) == {"cleared": 2}
        assert ask("GET", "/exchange/status").json()["trading_active"] is True


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--set", "scopes=all"), "allowed: read, read::portfolio_balance"),
        (("--set", "lag=5"), "'lag=5' is no setting"),
        (("--fault", "refused:6"), "'6' is not one of the codes"),
        (("--fault", "gap@9"), "does not read as KIND"),
    ],
)
def test_what_the_command_line_cannot_mean_starts_nothing(tmp_path: Path, option: tuple[str, str], words: str) -> None:
    """It says what is allowed, and nothing was printed that could be exported."""
    done = run("emulator", *option, variables=clean_environment(tmp_path))
    assert (done.stdout, words in done.stderr) == ("", True)
    assert done.returncode != 0
