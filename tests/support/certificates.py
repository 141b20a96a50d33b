"""Keys and certificates for the tests of TLS, made afresh by the openssl command; contexts that use them."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any


@functools.cache
def made(name: str) -> Path:
    """A file with a key and a self-signed certificate for the host `name`, which so is its own authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        import pytest  # here: the differential test does without it

        pytest.skip("needs the openssl command to make a certificate")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            (
                f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name}"
                f" -addext subjectAltName=DNS:{name} -keyout key -out certificate"
            ).split(),
            cwd=folder,
            check=True,
            capture_output=True,
        )
        text = Path(folder, "key").read_bytes() + Path(folder, "certificate").read_bytes()
    kept = Path(keeper().name, f"{name}.pem")
    kept.write_bytes(text)
    return kept


@functools.cache
def keeper() -> tempfile.TemporaryDirectory[str]:
    """Where the files live as long as the process does."""
    folder = tempfile.TemporaryDirectory(prefix="cede-certificates-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)  # left to itself it warns, which is an error where warnings are
    return folder


def server_context(name: str = "localhost", clients: str | None = None) -> Any:
    """A server's context, with the certificate of `name`; `clients`: whose certificate a client must have."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made(name))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(made(clients))
    return context


def client_context(*names: str, own: str | None = None) -> Any:
    """A client's context, that trusts the certificates of `names` ("localhost" by default); `own`: which it has itself."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in names or ("localhost",):
        context.load_verify_locations(made(name))
    if own is not None:
        context.load_cert_chain(made(own))
    return context
