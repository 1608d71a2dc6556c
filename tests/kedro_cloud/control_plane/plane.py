"""The proxy in front of the services: ends TLS, tells hosts apart, puts in faults, takes notes."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from control_plane import blobs, documents, invocations, manager, runs, signin
from control_plane.certificates import make_authority
from control_plane.messages import Answer, Fault, Request
from control_plane.resources import Resources

_OTHERS_CLOUDS = ("AZURE_", "AZUREML_", "ARM_", "IDENTITY_", "MSI_", "KEDRO_", "MLFLOW_")
INGESTION = "*.in.applicationinsights.azure.com"
"""Of Application Insights; somebody is there if a test puts one into `ControlPlane.services`."""
_SAY_IT_IS_A_TEST = ("PYTEST_", "CI", "GITHUB_", "DO_NOT_TRACK")
"""Programs that report on their users do not where they find one of these."""


class ControlPlane:
    """Azure as far as the SDK can see; `address` is the proxy's, `folder` takes its files."""

    def __init__(self, address: str, authority: Path, azurite: str) -> None:
        self.address = address
        self.authority = authority
        self.folder = authority.parent
        self.blobs = blobs.Blobs(azurite)
        self.reset()

    def reset(self) -> None:
        """Restore an empty workspace, without faults, notes or tokens."""
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
        """Names that were asked for and are not Azure's."""
        (self.folder / "connected.txt").unlink(missing_ok=True)

    def service(self, host: str) -> Callable[[Request], Answer] | None:
        """Who answers by this name."""
        return next((found for name, found in self.services.items() if fnmatch(host, name)), None)

    def answer(self, request: Request) -> Answer | None:
        """What the request gets; None: nothing, not even an end."""
        self.requests.append(request)
        for fault in self.faults:
            if fault.meets(request):
                return fault.answer
        service = self.service(request.host)
        assert service is not None
        return service(request)

    @property
    def environment(self) -> dict[str, str]:
        """A whole environment for a client that is to find its way here, and nowhere else."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OTHERS_CLOUDS + _SAY_IT_IS_A_TEST)
            and not name.lower().endswith("_proxy")
        }
        trusted = str(self.authority)
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
    """A control plane whose blob storage is the Azurite of this connection string."""
    named = (manager.HOST, signin.HOST, runs.HOST, blobs.HOSTS, invocations.HOSTS)
    names = [*named, INGESTION]
    with tempfile.TemporaryDirectory(prefix="quartet-authority-") as folder:
        authority, context = make_authority(Path(folder), names)
        handler = type("Tunnel", (_Tunnel,), {"context": context})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        plane = ControlPlane(f"http://127.0.0.1:{server.server_port}", authority, azurite)
        handler.plane = plane  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield plane
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Tunnel(BaseHTTPRequestHandler):
    """One connection to the proxy: CONNECT, then requests inside TLS."""

    protocol_version = "HTTP/1.1"
    plane: ClassVar[ControlPlane]
    context: ClassVar[ssl.SSLContext]
    host = ""

    def do_CONNECT(self) -> None:
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
        request = Request(self.host, self.command, self.path, self.headers, self._body())
        answer = self.plane.answer(request)
        if answer is None:
            self._break_off()
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else answer.body)
        self.wfile.flush()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while length := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _refuse(self, name: str) -> None:
        self.plane.refused.append(name)
        self.close_connection = True
        with suppress(OSError):
            self.send_error(403, "Not one of Azure's names")

    def _break_off(self) -> None:
        """Reset the connection, as a dying network does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *arguments: object) -> None:
        """Say nothing; `ControlPlane.requests` has it all."""
