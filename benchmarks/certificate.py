"""A key and a certificate for the TLS rows, made afresh by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

COMMAND = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
    "-addext subjectAltName=DNS:localhost -keyout key -out certificate"
)


def contexts() -> tuple[Any, Any]:
    """An ``ssl.SSLContext`` for a server and one for its clients. Raises RuntimeError where there is no openssl command."""
    import ssl

    openssl = shutil.which("openssl")
    if openssl is None:
        raise RuntimeError("needs the openssl command to make a certificate (on Debian and Ubuntu: apt install openssl)")
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        subprocess.run([openssl, *COMMAND.split()], cwd=folder, check=True, capture_output=True)
        server.load_cert_chain(Path(folder, "certificate"), Path(folder, "key"))
        client.load_verify_locations(Path(folder, "certificate"))
    return server, client
