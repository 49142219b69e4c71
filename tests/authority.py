"""Certificates of our own, for servers on loopback that speak TLS only."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.conftest import require_program


class Authority(NamedTuple):
    """A self-signed certificate for 127.0.0.1 that is its own authority."""

    certificate: Path
    key: Path

    @property
    def options(self) -> list[str]:
        """What makes a server use it."""
        certificate = str(self.certificate)
        files = [
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            str(self.key),
            "--tls-ca-cert-file",
            certificate,
        ]
        return [*files, "--tls-auth-clients", "no"]


def authority(directory: Path, name: str) -> Authority:
    """A new one, in two files there."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    command = [str(require_program("openssl")), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True)
    return Authority(certificate, key)
