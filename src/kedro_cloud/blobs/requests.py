"""Requests to blob storage that are tried again where that helps, and else fail in one line."""

from __future__ import annotations

import logging
import random
import time
from asyncio import sleep
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.storage.blob import LocationMode
from azure.storage.blob.aio import ExponentialRetry

from kedro_cloud.blobs.errors import (
    Place,
    StorageError,
    busy,
    code_of,
    is_unknown_host,
    refused,
    unreachable,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long storage is given.

    Attributes:
        waits: Seconds before each further try. An account that throttles frees up within
            seconds; one that is down is back within a minute, or not soon. They are shortened by
            chance, up to half, so that many processes do not come back at the same moment.
        waits_for_name: The same where the account's name is unknown. A machine that has just
            started may not resolve names yet; mostly the name is wrong, and nobody wants to wait.
        longest: Seconds after the first try that no further one is begun. Storage that takes
            requests and never answers would else be asked for as long as all time-outs together.
        connecting: Seconds until a connection must be there.
        reading: Seconds of silence from storage in which a connection counts as lost.
    """

    waits: tuple[float, ...] = (1, 2, 4, 8, 16, 32)
    waits_for_name: tuple[float, ...] = (1, 2)
    longest: float = 180
    connecting: float = 20
    reading: float = 60


PATIENCE = Patience()
_ASKED_AT_MOST = 60
"""Seconds that storage itself may ask for before the next try."""
_WORTH_TELLING = 4
"""Seconds: longer waits are told, so that nobody takes the work for stuck."""


class Retries(ExponentialRetry):
    """Azure's retry policy with limits of its own, which also reads the bodies of downloads.

    Azure's tries a missing credential three more times in 84 s, does not try 429 at all, and has
    done its work when a body begins. Here a lost body is one more lost answer; they are at most
    as large as the blocks that a blob is read in.
    """

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._patience = patience

    async def send(self, request: Any) -> Any:  # type: ignore[override]  # as in the base class
        """The response to a request.

        Raises:
            StorageError: None came, or one that calls for a person.
        """
        options = self.configure_retries(request)
        place = Place.of(request.http_request.url)
        begun, tries = time.monotonic(), 0
        while True:
            tries += 1
            response, error = await self._tried(request)
            if response is not None and not _is_passing(response.http_response.status_code):
                return _answer(response)
            seconds = time.monotonic() - begun
            wait = self._wait(tries, seconds, response, error)
            if wait is None or not _rewound(request, options["body_position"]):
                raise _no_answer(place, response, error, tries, seconds) from error
            if wait >= _WORTH_TELLING:
                logger.warning("%s: no answer yet; asking again in %.0f s", place, wait)
            await sleep(wait)

    async def _tried(self, request: Any) -> tuple[Any, AzureError | None]:
        """The response and its body, or why there is none."""
        try:
            response: Any = await self.next.send(request)  # type: ignore[misc]  # likewise
            if not response.http_response.is_stream_consumed:
                await response.http_response.read()
        except AzureError as error:
            return None, error
        return response, None

    def _wait(
        self, tries: int, seconds: float, response: Any, error: AzureError | None
    ) -> float | None:
        """Seconds until the next try; None if there is to be none."""
        if isinstance(error, ClientAuthenticationError):
            return None
        waits = self._patience.waits
        if error is not None and is_unknown_host(error):
            waits = self._patience.waits_for_name
        if tries > len(waits) or seconds > self._patience.longest:
            return None
        wait = waits[tries - 1] * random.uniform(0.5, 1)
        asked = response.http_response.headers.get("Retry-After", "") if response else ""
        return max(wait, min(float(asked), _ASKED_AT_MOST)) if asked.isdigit() else wait


def _is_passing(status: int) -> bool:
    """Whether a status tells of a fault that may be over in a moment."""
    return status in (408, 429) or (status >= 500 and status not in (501, 505))


def _rewound(request: Any, position: int | None) -> bool:
    """Whether the request can be sent once more."""
    body = request.http_request.body
    if not hasattr(body, "read"):
        return True
    if position is None:
        return False
    body.seek(position)
    return True


def _answer(response: Any) -> Any:
    """The response, unless it calls for a person."""
    http, url = response.http_response, response.http_request.url
    # To use a missing container is a fault; to ask for it, or to delete what is not there, is not.
    asks = "restype=container" in url and "comp=" not in url
    if not (http.status_code == 404 and (asks or response.http_request.method == "DELETE")):
        fault = refused(Place.of(url), http.status_code, code_of(http))
        if fault is not None:
            raise fault
    http.location_mode = LocationMode.PRIMARY  # Azure's own code wants to know
    return response


def _no_answer(
    place: Place, response: Any, error: AzureError | None, tries: int, seconds: float
) -> StorageError:
    if error is not None:
        return unreachable(place, error, tries, seconds)
    http = response.http_response
    return busy(place, http.status_code, code_of(http), tries, seconds)
