"""Retry requests to blob storage with azure-core's policy, and explain those that fail."""

from __future__ import annotations

import random
from typing import Any

from aiohttp import ClientConnectorDNSError
from azure.core.exceptions import AzureError, IncompleteReadError, ServiceResponseError
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.storage.blob import LocationMode

from kedro_cloud.blobs.errors import Target, explain_error, explain_response

_RETRIES = 6
RETRY_OPTIONS = {
    **dict.fromkeys(("retry_total", "retry_connect", "retry_read", "retry_status"), _RETRIES),
    "retry_backoff_factor": 1,  # seconds; waits 0, 2, 4, 8, 16, 32
    "timeout": 180,  # seconds after which no further try begins
}
_MAX_RETRY_AFTER = 60
"""Seconds; storage may ask for more, but a run should fail within minutes."""
_UNKNOWN_HOST_TRIES = 3
"""Mostly the name is wrong, but a machine that has just started may not resolve names yet."""


class RequestPolicy(AsyncRetryPolicy[Any, Any]):
    """Send requests to one storage account.

    The policy of azure-storage-blob ignores status 429 and Retry-After, and retries for 84 s if
    there is no credential.

    Attributes:
        account: Name of the storage account, for messages.
        hostname: What precedes the container in a URL, without the scheme.
    """

    account = hostname = ""

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Return the seconds to wait, with jitter, so that processes do not retry in step."""
        return super().get_backoff_time(settings) * random.uniform(0.5, 1)

    def get_retry_after(self, response: Any) -> float:
        """Return the seconds that storage asks to wait, at most 60."""
        return min(super().get_retry_after(response) or 0, _MAX_RETRY_AFTER)

    def increment(
        self, settings: dict[str, Any], response: Any = None, error: Exception | None = None
    ) -> bool:
        """Count a try, and return whether another one follows."""
        if isinstance(error, IncompleteReadError):  # azure-core would not wait before the next try
            error = ServiceResponseError(error, error=error)
        more = super().increment(settings, response, error)
        unknown = isinstance(getattr(error, "inner_exception", None), ClientConnectorDNSError)
        return more and not (unknown and len(settings["history"]) >= _UNKNOWN_HOST_TRIES)

    async def send(self, request: Any) -> Any:
        """Return the response to a request, its body included.

        Raises:
            StorageError: There was no response, or an error that a person has to fix.
        """
        options = request.context.options
        for name in ("hosts", "location_mode", "retry_to_secondary"):
            options.pop(name, None)  # set for the policy of azure-storage-blob
        stream = options.get("stream", False)
        options["stream"] = False  # read the body here, so that an incomplete one is retried
        try:
            response = await super().send(request)
        except AzureError as error:
            raise explain_error(self._target(request), error) from error
        if fault := explain_response(self._target(request), response.http_response):
            raise fault
        options["stream"] = stream  # tells the client not to parse the body as XML
        response.http_response.location_mode = LocationMode.PRIMARY  # the client requires it
        return response

    def _target(self, request: Any) -> Target:
        tries = request.context["retry_count"] + 1
        return Target.parse(request.http_request.url, self.hostname, self.account, tries)
