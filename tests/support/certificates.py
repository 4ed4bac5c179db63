"""A throw-away certificate authority, and the certificates that it signs."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from pathlib import Path

import trustme

__all__ = ["Authority"]


class Authority:
    """
    It keeps its files in `folder`. `bundle` is its own certificate, for the setting ca_bundle. What it signs ends at
    `not_after`.
    """

    not_after: datetime | None = None

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.bundle = str(folder / "authority.pem")
        self._ca.cert_pem.write_to_path(self.bundle)

    def context(self, *names: str, owner: str | None = None) -> ssl.SSLContext:
        """For a server with these names, that belongs to `owner`."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, organization_name=owner).configure_cert(made)
        return made

    def files(self, *names: str) -> tuple[Path, Path]:
        """The certificate and the key of a server with these names, both PEM."""
        issued = self._ca.issue_cert(
            *names, not_before=self.not_after and self.not_after - timedelta(days=30), not_after=self.not_after
        )
        chain, key = self._folder / "cert.pem", self._folder / "key.pem"
        issued.cert_chain_pems[0].write_to_path(chain)
        issued.private_key_pem.write_to_path(key)
        return chain, key
