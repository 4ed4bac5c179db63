"""What the manual tells operators of a cluster to write: shells, systemd and Ray can read it, and it fits together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from pinpool.check.ray_security import TLS_FILES
from pinpool.pool.ray_address import endpoint, uses_tls, uses_token

PAGE = (files("pinpool") / "manual" / "cluster.md").read_text(encoding="utf-8")
DEADLINE = 60


def block(words: str) -> str:
    """The one indented block with these words, without its indent."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)
    [found] = [one for one in blocks if words in one]
    return "".join(line.removeprefix("    ") for line in found.splitlines(keepends=True))


def variables(tmp_path: Path) -> dict[str, str]:
    """The variables of the page, as a shell reads them."""
    (tmp_path / "ray.env").write_text(block("RAY_TLS_CA_CERT="))
    said = subprocess.run(
        ["env", "-i", "bash", "-c", "set -a; . ./ray.env; set +a; env -0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=DEADLINE,
        check=True,
    ).stdout
    return dict(line.split("=", 1) for line in said.split("\0") if line)


def test_the_variables_name_a_head_slots_token_and_tls(tmp_path: Path) -> None:
    found = variables(tmp_path)

    assert json.loads(found["RESOURCES"]) == {"proxy": 20}
    assert endpoint(found["HEAD"]) == ("10.0.0.1", 6379)
    assert uses_token(found)
    assert uses_tls(found)
    assert all(found[name].startswith("/etc/pinpool/") for name in (*TLS_FILES, "RAY_AUTH_TOKEN_PATH"))


def test_the_firewall_opens_the_ports_that_the_options_fix(tmp_path: Path) -> None:
    found = variables(tmp_path)
    options = dict(re.findall(r"--([a-z-]+-port)=(\d+)", found["START_OPTIONS"]))
    single, span = re.findall(r"tcp dport \{ (\d+-\d+), (\d+-\d+) \}", PAGE)[0]
    first, last = map(int, single.split("-"))

    assert {endpoint(found["HEAD"])[1], int(options["node-manager-port"]), int(options["object-manager-port"])} == set(
        range(first, last + 1)
    )
    assert span == f"{options['min-worker-port']}-{options['max-worker-port']}"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_the_services_are_units_that_systemd_reads_without_a_complaint(tmp_path: Path) -> None:
    for name in ("ray", "pinpool"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    units = []
    for number, words in enumerate(("--head --block --node-ip-address=${MY_IP}", "=${RESOURCES}", "pinpool resume")):
        unit = tmp_path / f"unit-{number}.service"
        unit.write_text(block(f"{words} " if number < 2 else words).replace("/opt/pinpool/bin", str(tmp_path)))
        units.append(unit)

    said = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units)],
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )

    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.ray
def test_ray_knows_every_option_that_the_manual_gives_it() -> None:
    shown = {option for line in PAGE.splitlines() if "ray start" in line for option in re.findall(r"--[a-z-]+", line)}
    shown |= set(re.findall(r"--[a-z-]+", PAGE.partition("START_OPTIONS=")[2].partition("\n")[0]))

    told = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--help"],
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=True,
    ).stdout

    assert len(shown) > 10
    assert shown - set(re.findall(r"--[a-z-]+", told)) == set()
