"""Where the API listens, as an operator says it. Imports nothing heavy: commands check it before anything starts."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.errors import RunError, UserError

BACKLOG: Final = 128
"""Connections that the kernel keeps for a node that has as many open as it wants."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, and with what it proves itself. Without a certificate it is one of loopback."""

    host: str
    """An IP address."""
    port: int
    """0: one that is free."""
    certificate: Path | None = None
    key: Path | None = None

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.certificate is not None

    def url(self, port: int) -> str:
        """With the port that is listened at in the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{port}"

    @property
    def address(self) -> str:
        """As `parse_endpoint` takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def moved(self, by: int) -> Endpoint:
        """The same, `by` ports further on. Raises UserError where there is no such port."""
        if self.port and self.port + by > 65_535:
            raise UserError(f"--api: there is no port {self.port + by}", f"Begin at most at {65_535 - by}.")
        return Endpoint(self.host, self.port + by if self.port else 0, self.certificate, self.key)


def parse_endpoint(address: str, certificate: Path | None = None, key: Path | None = None) -> Endpoint:
    """`HOST:PORT`, where HOST is an IP address or localhost. Raises UserError where it cannot be, or must not."""
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535 and host):
        raise UserError(f"--api {address} is no address", "Write HOST:PORT, as in 127.0.0.1:8200 or [::1]:8200.")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ip = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        raise UserError(
            f"--api {address}: {host} is no IP address", "Write an address of this device, or localhost."
        ) from None
    if (certificate is None) != (key is None):
        raise UserError("--tls-cert and --tls-key belong together", "Give both, or neither for an API on loopback.")
    if certificate is None and not ip.is_loopback:
        raise UserError(
            f"--api {address}: tokens would cross the network in clear text",
            "Give --tls-cert and --tls-key, or listen at 127.0.0.1 and reach it through SSH or a proxy with TLS.",
        )
    return Endpoint(str(ip), int(port), certificate, key)


def listen(endpoint: Endpoint) -> socket.socket:
    """A listening socket. Raises RunError where the address cannot be had or the key is not kept."""
    if endpoint.key is not None:
        _refuse_strangers(endpoint.key)
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((endpoint.host, endpoint.port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise RunError(
            f"the API cannot listen at {endpoint.host}:{endpoint.port}: {error.strerror or error}",
            "Give --api an address of this device, on a port that nothing else uses.",
        ) from error
    return sock


def _refuse_strangers(key: Path) -> None:
    try:
        mode = stat.S_IMODE(os.stat(key).st_mode)  # noqa: PTH116 - the same, and the error names the file
    except OSError as error:
        raise RunError(
            f"--tls-key {key}: {error.strerror}", "Give the file of the certificate's private key."
        ) from error
    if mode & 0o007:
        raise RunError(f"{key} can be read or written by anybody (mode {mode:04o})", f"Run: chmod 640 {key}")
