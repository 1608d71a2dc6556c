"""*.blob.core.windows.net: requests for any account, forwarded to Azurite."""

from __future__ import annotations

import http.client
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobServiceClient,
    ContainerSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_container_sas,
)

from control_plane.messages import Answer, Request

HOSTS = "*.blob.core.windows.net"
_HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}


class Blobs:
    """Forwards requests to Azurite, and creates containers with a signed address."""

    def __init__(self, connection_string: str) -> None:
        self.client = BlobServiceClient.from_connection_string(connection_string)
        self._account = self.client.account_name
        self._key = self.client.credential.account_key
        self._address = self.client.url.removeprefix("http://").partition("/")[0]

    def __call__(self, request: Request) -> Answer:
        """Return Azurite's response; a signature replaces a sign-in token, which it rejects."""
        target = f"/{self._account}{request.target}"
        headers = dict(_end_to_end(request.headers.items()))
        if request.headers.get("Authorization", "").startswith("Bearer "):
            del headers["Authorization"]
            target += ("&" if "?" in target else "?") + self._signature()
        connection = http.client.HTTPConnection(self._address)
        connection.request(request.method, target, request.body or None, headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.read(), dict(_end_to_end(response.getheaders())))
        if request.method == "HEAD" and (length := response.getheader("Content-Length")):
            answer.headers["Content-Length"] = length  # type: ignore[index]
        connection.close()
        return answer

    def keep_container(self, name: str) -> None:
        """Create a container, unless it exists."""
        with suppress(ResourceExistsError):
            self.client.create_container(name)

    def make_container(self, account: str) -> tuple[str, str]:
        """Create a container; return its address without and with a signature."""
        name = str(uuid4())
        self.client.create_container(name)
        signature = generate_container_sas(
            self._account,
            name,
            account_key=self._key,
            permission=ContainerSasPermissions(read=True, write=True, list=True, create=True),
            expiry=datetime.now(UTC) + timedelta(hours=2),
        )
        address = f"https://{account}{HOSTS[1:]}/{name}"
        return address, f"{address}?{signature}"

    def _signature(self) -> str:
        return generate_account_sas(
            self._account,
            self._key,
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions(read=True, write=True, list=True, create=True, delete=True),
            datetime.now(UTC) + timedelta(hours=2),
        )


def _end_to_end(headers: object) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
