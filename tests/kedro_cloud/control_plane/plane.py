"""The proxy before the services: ends TLS, routes by host, injects faults, records requests."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar

from control_plane import blobs, documents, invocations, manager, runs, signin
from control_plane.certificates import make_certificate
from control_plane.messages import Answer, Fault, Request
from control_plane.resources import Resources
from servers import QuietHandler, serve

_CLOUD_VARIABLES = ("AZURE_", "AZUREML_", "ARM_", "IDENTITY_", "MSI_", "KEDRO_", "MLFLOW_")
INGESTION = "*.in.applicationinsights.azure.com"
"""Hosts of Application Insights; a test adds their service to `ControlPlane.services`."""
_TEST_VARIABLES = ("PYTEST_", "CI", "GITHUB_", "DO_NOT_TRACK")
"""Prefixes of variables that disable telemetry of programs."""


class ControlPlane:
    """Azure as the SDK sees it; `address` is that of the proxy, `folder` has its files."""

    def __init__(self, address: str, certificate: Path, azurite: str) -> None:
        self.address = address
        self.certificate = certificate
        self.folder = certificate.parent
        self.blobs = blobs.Blobs(azurite)
        self.reset()

    def reset(self) -> None:
        """Restore an empty workspace, without faults, requests or tokens."""
        self.resources = Resources()
        self.sign_in = signin.SignIn()
        self.runs = runs.Runs()
        self.manager = manager.ResourceManager(self.resources, self.sign_in, self.blobs, self.runs)
        self.invocations = invocations.Invocations(self.resources, self.sign_in)
        self.services: dict[str, Callable[[Request], Answer]] = {
            manager.HOST: self.manager,
            signin.HOST: self.sign_in,
            runs.HOST: self.runs,
            blobs.HOSTS: self.blobs,
            invocations.HOSTS: self.invocations,
        }
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.refused: list[str] = []
        """Hosts that were requested and are not those of Azure."""
        (self.folder / "connected.txt").unlink(missing_ok=True)

    def service(self, host: str) -> Callable[[Request], Answer] | None:
        """Return the service of a host; None for other hosts."""
        return next((found for name, found in self.services.items() if fnmatch(host, name)), None)

    def answer(self, request: Request) -> Answer | None:
        """Return the response to a request; None closes the connection."""
        self.requests.append(request)
        for fault in self.faults:
            if fault.meets(request):
                return fault.answer
        service = self.service(request.host)
        assert service is not None
        return service(request)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a client that connects to this control plane only."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_CLOUD_VARIABLES + _TEST_VARIABLES)
            and not name.lower().endswith("_proxy")
        }
        trusted = str(self.certificate)
        return {
            **kept,
            "REQUESTS_CA_BUNDLE": trusted,
            "SSL_CERT_FILE": trusted,
            "CURL_CA_BUNDLE": trusted,
            "HTTPS_PROXY": self.address,
            "HTTP_PROXY": self.address,
            "NO_PROXY": "127.0.0.1,localhost",
            "AZURE_TENANT_ID": signin.TENANT,
            "AZURE_CLIENT_ID": signin.CLIENT,
            "AZURE_CLIENT_SECRET": signin.SECRET,
            "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
            "AZURE_SUBSCRIPTION_ID": documents.SUBSCRIPTION,
            "AZURE_RESOURCE_GROUP": documents.GROUP,
            "AZURE_ML_WORKSPACE": documents.WORKSPACE,
            "AZUREML_RUN_POLLING_INTERVAL_MIN": "1",
        }


@contextmanager
def running(azurite: str) -> Iterator[ControlPlane]:
    """Run a control plane with the blob storage of an Azurite."""
    named = (manager.HOST, signin.HOST, runs.HOST, blobs.HOSTS, invocations.HOSTS)
    names = [*named, INGESTION]
    with tempfile.TemporaryDirectory(prefix="control-plane-") as folder:
        certificate, context = make_certificate(Path(folder), names)
        handler = type("Tunnel", (_Tunnel,), {"context": context})
        with serve(handler) as server:
            plane = ControlPlane(f"http://127.0.0.1:{server.server_port}", certificate, azurite)
            handler.plane = plane  # type: ignore[attr-defined]
            yield plane


class _Tunnel(QuietHandler):
    """One connection to the proxy: CONNECT, then requests inside TLS."""

    plane: ClassVar[ControlPlane]
    context: ClassVar[ssl.SSLContext]
    host = ""

    def do_CONNECT(self) -> None:  # noqa: N802
        host = self.path.rpartition(":")[0]
        if self.plane.service(host) is None:
            self._refuse(host)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        try:
            self.connection = self.context.wrap_socket(self.connection, server_side=True)
        except OSError:  # the client does not trust the certificate
            self.plane.refused.append(f"{host}: no handshake")
            self.close_connection = True
            return
        self.host = host
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False

    def _serve(self) -> None:
        if not self.host:
            self._refuse(self.path)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.host, self.command, self.path, self.headers, body)
        answer = self.plane.answer(request)
        if answer is None:
            self.reset_connection()
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else answer.body)
        self.wfile.flush()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def _refuse(self, name: str) -> None:
        self.plane.refused.append(name)
        self.close_connection = True
        with suppress(OSError):
            self.send_error(403, "Not a host of Azure")
