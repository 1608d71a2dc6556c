"""Serve a registered model with MLflow's scoring server, behind a guard that validates requests.

Run `python -m scoring.serve`, with the model below KEDRO_CLOUD_MODEL_DIR or AZUREML_MODEL_DIR.
MLflow's server casts inputs to the types of the model's signature, even floating-point ink to
integers, and reports errors with a traceback, or not at all. So the guard checks a batch against
the signature first, and reports errors in one line.

Protocol: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/, JSON only.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import mlflow
import orjson
import uvicorn
from mlflow.pyfunc import scoring_server

from . import PORT
from .checks import RefusedError, check

MOST_ROWS = 1000
MOST_BYTES = 10_000_000
REQUESTS_AT_ONCE = 128
"""Further requests get 503 at once, instead of waiting in memory."""

_KEEP_ALIVE_S = 75
"""Longer than usual for load balancers, which otherwise reuse a connection that is closed."""
_READ_FACTOR = 10
"""Multiple of the maximum body that is read: most clients read a response only at the end."""
_MODEL_FOLDERS = ("KEDRO_CLOUD_MODEL_DIR", "AZUREML_MODEL_DIR")
"""Environment variables. Azure ML may not set its own for an MLflow model with a custom image."""
_EXAMPLE = "serving_input_example.json"
_SHOWN_CHARACTERS = 300
_USER_ERRORS = (
    "ValueError",
    "TypeError",
    "KeyError",
    "OverflowError",
    "mlflow.exceptions.MlflowException",
)
"""Exceptions of a model for invalid input; all others are errors of the server."""

logger = logging.getLogger("kedro_cloud.scoring")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """Maximum size of a request."""

    rows: int = MOST_ROWS
    bytes: int = MOST_BYTES

    @classmethod
    def from_environment(cls) -> Limits:
        """Read KEDRO_CLOUD_MOST_ROWS and KEDRO_CLOUD_MOST_BYTES, or return the defaults."""
        rows = os.environ.get("KEDRO_CLOUD_MOST_ROWS") or MOST_ROWS
        size = os.environ.get("KEDRO_CLOUD_MOST_BYTES") or MOST_BYTES
        return cls(int(rows), int(size))


class Guard:
    """ASGI app that checks requests before MLflow's app; errors are one line, `{"error": "…"}`."""

    def __init__(self, app: App, schema: Any, limits: Limits) -> None:
        """Wrap MLflow's app.

        Args:
            app: ASGI app of MLflow's scoring server.
            schema: Input schema of the model.
            limits: Maximum size of a request.

        Raises:
            ValueError: The model has no signature.
        """
        if schema is None:
            raise ValueError("the model has no signature; register it again")
        self._app = app
        self._schema = schema
        self._limits = limits
        # More concurrent requests than cores would only slow each other down.
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] != "/invocations" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
            async with self._slots:
                await asyncio.to_thread(check, body, self._schema, self._limits.rows)
                await self._app(scope, _replay(body, receive), _shorten_errors(send))
        except RefusedError as error:
            await _send_error(send, error.status, str(error))

    async def _read(self, scope: Message, receive: Receive) -> bytes:
        """Return the complete body.

        Raises:
            RefusedError: The body is too large or has another content type.
        """
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        content_type = headers.get(b"content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"expected Content-Type: application/json, found {content_type[:80] or 'none'}",
            )
        most = self._limits.bytes
        parts: list[bytes] = []
        size = 0
        more = int(headers.get(b"content-length", 0)) <= most * _READ_FACTOR
        while more and size <= most * _READ_FACTOR:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(HTTPStatus.BAD_REQUEST, "the client disconnected")
            part = message.get("body", b"")
            size += len(part)
            if size <= most:
                parts.append(part)
            more = message.get("more_body", False)
            if not more and size <= most:
                return b"".join(parts)
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"expected at most {most:,} bytes; send several requests",
        )


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with a body that was already read."""
    is_replayed = False

    async def receive_body() -> Message:
        nonlocal is_replayed
        if is_replayed:
            return await receive()
        is_replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body


def _shorten_errors(send: Send) -> Send:
    """Return a `send` that reduces MLflow's errors to one line, without traceback."""
    status = 0
    parts: list[bytes] = []

    async def send_shortened(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        if status < HTTPStatus.BAD_REQUEST:
            await send(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                await _send_error(send, *_parse_error(HTTPStatus(status), b"".join(parts)))

    return send_shortened


def _parse_error(status: HTTPStatus, answer: bytes) -> tuple[HTTPStatus, str]:
    """Return status and message for an error of MLflow or the model; log its traceback."""
    try:
        content = json.loads(answer)
        message, trace = str(content["message"]), str(content.get("stack_trace") or "")
    except (ValueError, TypeError, KeyError):
        message, trace = answer.decode(errors="replace"), ""
    if trace:
        logger.error("%s", trace)
        kind, _, text = trace.strip().rpartition("\n")[2].partition(": ")
        if kind not in _USER_ERRORS:
            return HTTPStatus.INTERNAL_SERVER_ERROR, "the model failed; see the server's log"
        message = text
    return status, message.rpartition("Error: ")[2].strip()[:_SHOWN_CHARACTERS]


async def _send_error(send: Send, status: HTTPStatus, reason: str) -> None:
    content = orjson.dumps({"error": " ".join(reason.split())})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": content})


def find_model() -> Path:
    """Return the folder of the file `MLmodel`, which Azure ML places some levels below its folder.

    Raises:
        ValueError: No folder contains a model.
    """
    folders = [Path(os.environ[name]) for name in _MODEL_FOLDERS if name in os.environ]
    found = [path for folder in folders for path in folder.rglob("MLmodel")]
    if not found:
        if not folders:
            raise ValueError(f"no model folder: set {_MODEL_FOLDERS[0]}")
        raise ValueError(f"{' or '.join(map(str, folders))}: expected an MLflow model, found none")
    return min(found, key=lambda path: len(path.parts)).parent


def make_app(folder: Path, limits: Limits) -> Guard:
    """Load a model, test it with its input example, and return its guarded server.

    Raises:
        RefusedError: The example does not match the signature.
        ValueError: The model has no signature.
    """
    model = mlflow.pyfunc.load_model(str(folder))
    schema = model.metadata.get_input_schema()
    guard = Guard(scoring_server.init(model), schema, limits)
    example = (folder / _EXAMPLE).read_bytes()
    check(example, schema, limits.rows)
    scoring_server.invocations(example.decode(), "application/json", model, schema)
    return guard


def main() -> None:
    """Serve until a signal stops the process."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    with suppress(KeyboardInterrupt):
        app = make_app(find_model(), Limits.from_environment())
        # Objects of the start are kept forever. Without freezing them, each large batch makes the
        # garbage collector scan them, which takes eight times as long as checking the batch.
        gc.collect()
        gc.freeze()
        uvicorn.run(
            app,
            host=os.environ.get("KEDRO_CLOUD_HOST", "0.0.0.0"),
            port=int(os.environ.get("KEDRO_CLOUD_PORT", PORT)),
            log_level="warning",
            limit_concurrency=REQUESTS_AT_ONCE,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=30,
        )


if __name__ == "__main__":
    main()
