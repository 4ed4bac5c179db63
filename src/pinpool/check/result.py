"""The results of a proxy check: exit addresses, and all findings as a document and as text."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

from pinpool.model import Fault
from pinpool.proxies.proxy import Proxy
from pinpool.text import first_few, tallied

#: Where echo services put the address: ipify and ipinfo, httpbin, ip-api, ifconfig.co, Cloudflare, the lab's site.
KEYS = ("ip", "origin", "query", "ip_addr", "ipAddress", "address", "peer")

_LINE = re.compile(r"^ip=(\S+)$", re.MULTILINE)


class Finding(NamedTuple):
    """
    One proxy. If it works, `fault` is None and `message` empty. `seconds` run from the first step of connecting to the
    end. `exit` is the address that the site saw, None if its answer does not show it.
    """

    proxy: Proxy
    fault: Fault | None
    message: str
    seconds: float
    status: int | None = None
    exit: str | None = None


def exit_address(body: bytes) -> str | None:
    """
    The address in the answer of an echo service: as plain text, as JSON under one of `KEYS`, or as a line ``ip=``.
    None if the answer is anything else. The result is a valid address, whatever was sent.
    """
    if len(body) > 65_536:  # it is a page, which may mention any address
        return None
    text = body.decode("utf-8", "replace").strip()
    if text.startswith(("{", '"')):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        found = map(value.get, KEYS) if isinstance(value, Mapping) else [value]
        return next(filter(None, map(_address, found)), None)
    line = _LINE.search(text)
    return _address(line[1] if line else text)


def _address(value: object) -> str | None:
    """The address in its canonical spelling, None if the value is not an address."""
    if not isinstance(value, str):
        return None
    # httpbin lists all that forwarded the request. It was connected to the last one.
    last = value.rpartition(",")[2].strip()
    try:
        address = ip_address(last)
    except ValueError:
        return None
    if "%" in last:  # a zone may be any text, and is valid on one machine only
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def shared_exits(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The exits that more than one proxy has, each with the labels of its proxies, in the order of the findings."""
    exits: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.exit is not None:
            exits[finding.exit].append(finding.proxy.label)
    return {address: labels for address, labels in exits.items() if len(labels) > 1}


def document(url: str, findings: Sequence[Finding], listed: int) -> dict[str, Any]:
    """The document of `pinpool check --json`. `listed` is the length of the list, checked or not."""
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
        "shared_exits": [{"exit": address, "proxies": labels} for address, labels in shared_exits(findings).items()],
    }


def tally(findings: Sequence[Finding], listed: int) -> str:
    """One line: how many work, and the faults of the others, the commonest first."""
    faults = Counter(finding.fault for finding in findings if finding.fault is not None)
    parts = [f"{len(findings) - faults.total()} of {len(findings)} work"]
    if faults:
        parts.append(tallied(faults))
    if listed > len(findings):
        parts.append(f"{listed - len(findings)} not checked")
    return "; ".join(parts)


def text(findings: Sequence[Finding], listed: int) -> str:
    """A table, with the proxies that failed first, and what follows from it."""
    lines = _table(sorted(findings, key=lambda finding: finding.fault is None)) if findings else []
    lines.append(tally(findings, listed))
    for address, labels in shared_exits(findings).items():
        lines.append(f"{len(labels)} entries with one exit, {address}: {first_few(labels, 5)}")
    working = [finding for finding in findings if finding.fault is None]
    if working and not any(finding.exit for finding in working):
        lines.append("exits unknown: the URL's answer holds no address")
    if findings and not working:
        lines.append("none works: if that is unlikely, look at --url and at this machine's own network")
    return "\n".join(lines)


def _table(findings: Sequence[Finding]) -> list[str]:
    rows = [("proxy", "result", "seconds", "exit", "why")]
    for proxy, fault, message, seconds, _, address in findings:
        rows.append((proxy.label, fault or "works", f"{seconds:.2f}", address or "", message))
    width = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{row[0]:{width[0]}}  {row[1]:{width[1]}}  {row[2]:>{width[2]}}  {row[3]:{width[3]}}  {row[4]}".rstrip()
        for row in rows
    ]
