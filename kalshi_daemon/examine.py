"""`kalshi-daemon doctor`: the configuration and the key of this machine, and then every host of the environment.

Rules: it only reads, so that production needs no confirmation here. A configuration that does not load is a finding,
and the hosts of the environment are examined all the same, without a key.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

import trio

from kalshi_daemon.config import Config, load
from kalshi_daemon.config_checks import CONFIRMATION
from kalshi_daemon.errors import ConfigurationError, KeyRefused
from kalshi_daemon.hosts import REST_URLS, WS_URLS, Environment
from kalshi_daemon.shell.clock import Clock, SystemClock
from kalshi_daemon.shell.doctor import Doctor, Resolve
from kalshi_daemon.shell.doctor_advice import KEY
from kalshi_daemon.shell.doctor_report import Blame, Finding, Outcome, Report
from kalshi_daemon.shell.network import Network, SystemNetwork, resolve
from kalshi_daemon.shell.signer import Signer, load_signer


def run_doctor(environment: str | None) -> Report:
    """Examine the process's own environment, or the other one of the exchange's where it is named."""
    rng = random.Random(0)  # noqa: S311 - of back-offs that one attempt never has
    return trio.run(examine, os.environ, environment, SystemNetwork(), resolve, SystemClock(), rng)


async def examine(
    variables: Mapping[str, str],
    environment: str | None,
    network: Network,
    resolver: Resolve,
    clock: Clock,
    rng: random.Random,
) -> Report:
    asked = _for_reading(variables, environment)
    findings: list[Finding] = []
    config = _load(asked, findings)
    signer = _open_key(config, findings)
    doctor = Doctor(network, resolver, clock, rng, signer)
    if config is not None:
        own = environment is None or environment == variables.get("KALSHI_ENVIRONMENT", Environment.DEMO)
        found = await doctor.examine(config.rest_urls, config.ws_urls, config.markets if own else ())
        return Report(config.environment, (*findings, *found))
    named = environment or variables.get("KALSHI_ENVIRONMENT", Environment.DEMO)
    known = Environment(named) if named in set(Environment) else Environment.DEMO
    found = await doctor.examine(REST_URLS[known], WS_URLS[known])
    return Report(known, (*findings, *found))


def _for_reading(variables: Mapping[str, str], environment: str | None) -> Mapping[str, str]:
    """The variables with the environment asked for; hosts that were set for another one are left out."""
    own = variables.get("KALSHI_ENVIRONMENT", Environment.DEMO)
    asked = dict(variables)
    if environment is not None and environment != own:
        asked["KALSHI_ENVIRONMENT"] = environment
        for name in ("KALSHI_REST_URLS", "KALSHI_WS_URLS"):
            asked.pop(name, None)
    if asked.get("KALSHI_ENVIRONMENT") == Environment.PRODUCTION:
        asked["KALSHI_PRODUCTION_CONFIRMATION"] = CONFIRMATION
    return asked


def _load(variables: Mapping[str, str], findings: list[Finding]) -> Config | None:
    try:
        config = load(variables)
    except ConfigurationError as error:
        todo = "mend this variable (.env.example has all of them)"
        findings.append(_found("configuration", Outcome.FAILED, Blame.CONFIGURATION, str(error), todo))
        return None
    said = f"reads; {config.environment}"
    findings.append(_found("configuration", Outcome.OK, Blame.NONE, said, ""))
    return config


def _open_key(config: Config | None, findings: list[Finding]) -> Signer | None:
    if config is None:
        findings.append(_found("key", Outcome.NOT_TRIED, Blame.NONE, "the configuration does not load", ""))
        return None
    try:
        signer = load_signer(config.api_key_id, config.private_key_file)
    except KeyRefused as error:
        findings.append(_found("key", Outcome.FAILED, Blame.PERSON, str(error), KEY))
        return None
    findings.append(_found("key", Outcome.OK, Blame.NONE, "read; its permissions are closed", ""))
    return signer


def _found(step: str, outcome: Outcome, blame: Blame, detail: str, todo: str) -> Finding:
    return Finding("", step, outcome, blame, None, detail, todo)
