"""What a check of proxies found: the exit address in an answer, and all findings as a document and as text."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from pinpool.model import Fault
from pinpool.proxies.proxy import Proxy
from pinpool.text import first_few, tallied

#: Bytes. No service needs more to tell an address; a larger answer is a page, which may mention any.
LONGEST_ECHO = 65_536
#: Where echo services put the address: ipify and ipinfo, httpbin, ip-api, ifconfig.co, Cloudflare, the lab's site.
KEYS = ("ip", "origin", "query", "ip_addr", "ipAddress", "address", "peer")
SHOWN_PROXIES = 5

_LINE = re.compile(r"^ip=(\S+)$", re.MULTILINE)


class Finding(NamedTuple):
    """
    What came of trying one proxy. `fault` is None if it works, and `message` then empty. `seconds` run from the
    first step of connecting to the end. `exit` is the address that the site saw, where its answer tells it.
    """

    proxy: Proxy
    fault: Fault | None
    message: str
    seconds: float
    status: int | None = None
    exit: str | None = None


def exit_address(body: bytes) -> str | None:
    """
    The address that an echo service says we come from: as plain text, as JSON under one of `KEYS`, or as a
    line ``ip=``. None if the answer is anything else. What is returned is an address, whatever was sent.
    """
    if len(body) > LONGEST_ECHO:
        return None
    said = body.decode("utf-8", "replace").strip()
    if said.startswith(("{", '"')):
        try:
            value = json.loads(said)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, Mapping):
            told = (_address(value[key]) for key in KEYS if key in value)
            return next((address for address in told if address), None)
        return _address(value)
    found = _LINE.search(said)
    return _address(found[1] if found else said)


def _address(value: object) -> str | None:
    """`value` as an address in its one spelling."""
    if not isinstance(value, str):
        return None
    try:
        # httpbin lists whoever forwarded the request; the last came in person.
        address = ip_address(value.rpartition(",")[2].strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:  # may be any text, and means something to one machine only
            return None
        address = address.ipv4_mapped or address
    return str(address)


def shared_exits(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The exits that more than one proxy has, each with the labels of its proxies, in the order of the findings."""
    exits: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.exit is not None:
            exits[finding.exit].append(finding.proxy.label)
    return {address: labels for address, labels in exits.items() if len(labels) > 1}


def document(url: str, findings: Sequence[Finding], listed: int) -> dict[str, Any]:
    """The document of `pinpool check --json`; `listed` is how many proxies there are, checked or not."""
    working = sum(finding.fault is None for finding in findings)
    return {
        "url": url,
        "proxies": [
            {
                "proxy": finding.proxy.label,
                "ok": finding.fault is None,
                "fault": finding.fault,
                "message": finding.message or None,
                "seconds": round(finding.seconds, 3),
                "status": finding.status,
                "exit": finding.exit,
            }
            for finding in findings
        ],
        "working": working,
        "failed": len(findings) - working,
        "unchecked": listed - len(findings),
        "shared_exits": [
            {"exit": address, "proxies": labels} for address, labels in shared_exits(findings).items()
        ],
    }


def tally(findings: Sequence[Finding], listed: int) -> str:
    """How it stands, in one line: how many work, and what is wrong with the others, the commonest first."""
    faults = Counter(finding.fault for finding in findings if finding.fault is not None)
    parts = [f"{len(findings) - faults.total()} of {len(findings)} work"]
    if faults:
        parts.append(tallied(faults))
    if listed > len(findings):
        parts.append(f"{listed - len(findings)} not checked")
    return "; ".join(parts)


def text(findings: Sequence[Finding], listed: int) -> str:
    """A table, those that failed first, each in the order of the findings, and what follows from it."""
    lines = _table(sorted(findings, key=lambda finding: finding.fault is None)) if findings else []
    lines.append(tally(findings, listed))
    for address, labels in shared_exits(findings).items():
        lines.append(f"{len(labels)} entries with one exit, {address}: {first_few(labels, SHOWN_PROXIES)}")
    working = [finding for finding in findings if finding.fault is None]
    if working and not any(finding.exit for finding in working):
        lines.append("exits unknown: the URL's answer tells no address")
    if findings and not working:
        lines.append("none works: if that is unlikely, look at --url and at this machine's own network")
    return "\n".join(lines)


def _table(findings: Sequence[Finding]) -> list[str]:
    cells = [("proxy", "result", "seconds", "exit", "why")]
    cells += [
        (one.proxy.label, one.fault or "works", f"{one.seconds:.2f}", one.exit or "", one.message)
        for one in findings
    ]
    label, result, seconds, address, _ = (
        max(len(row[column]) for row in cells) for column in range(len(cells[0]))
    )
    return [
        f"{row[0]:{label}}  {row[1]:{result}}  {row[2]:>{seconds}}  {row[3]:{address}}  {row[4]}".rstrip()
        for row in cells
    ]
