"""Serves a registered model by MLflow's scoring server, behind a guard that refuses bad requests.

`python -m scoring.serve` with the model somewhere below KEDRO_CLOUD_MODEL_DIR or AZUREML_MODEL_DIR.
MLflow's server casts what it gets to the types of the model's signature, also fractions of ink to
whole numbers, and tells of errors with a traceback, or not at all; so the guard checks a batch
against the signature before, and answers in one line.

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
"""Beyond these a request is answered 503 at once, rather than kept in memory."""

_KEPT_OPEN_S = 75
"""An idle connection: longer than what usually stands before a server, which would find it shut."""
_HEARD_OUT = 10
"""Times the largest body until a client is cut off: most only read the answer once all is sent."""
_MODEL_FOLDERS = ("KEDRO_CLOUD_MODEL_DIR", "AZUREML_MODEL_DIR")
"""Variables. Azure ML may not set its own for a model in MLflow's format and an image of ours."""
_EXAMPLE = "serving_input_example.json"
_SHOWN_CHARACTERS = 300
_USERS = (
    "ValueError",
    "TypeError",
    "KeyError",
    "OverflowError",
    "mlflow.exceptions.MlflowException",
)
"""What a model raises at a batch that it cannot read; all else is the server's own fault."""

logger = logging.getLogger("kedro_cloud.scoring")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """How large a request may be."""

    rows: int = MOST_ROWS
    bytes: int = MOST_BYTES

    @classmethod
    def of_environment(cls) -> Limits:
        """What KEDRO_CLOUD_MOST_ROWS and KEDRO_CLOUD_MOST_BYTES say, or the defaults."""
        rows, most = (
            os.environ.get("KEDRO_CLOUD_MOST_ROWS"),
            os.environ.get("KEDRO_CLOUD_MOST_BYTES"),
        )
        return cls(int(rows or MOST_ROWS), int(most or MOST_BYTES))


class Guard:
    """MLflow's app behind the checks; errors are one line: `{"error": "…"}`."""

    def __init__(self, app: App, schema: Any, limits: Limits) -> None:
        """Describe the app by its model's input schema.

        Raises:
            ValueError: The model has no signature to check by.
        """
        if schema is None:
            raise ValueError("the model has no signature: register it anew")
        self._app = app
        self._schema = schema
        self._limits = limits
        # More at a time would only take the cores from each other.
        self._working = asyncio.Semaphore(os.cpu_count() or 1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] != "/invocations" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
            async with self._working:
                await asyncio.to_thread(check, body, self._schema, self._limits.rows)
                await self._app(scope, _again(body, receive), _in_one_line(send))
        except RefusedError as refused:
            await _tell(send, refused.status, str(refused))

    async def _read(self, scope: Message, receive: Receive) -> bytes:
        """All of the body, unless it is too much, or no JSON."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        kind = headers.get(b"content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"expected Content-Type: application/json, found {kind[:80] or 'none'}",
            )
        most = self._limits.bytes
        parts: list[bytes] = []
        size = 0
        more = int(headers.get(b"content-length", 0)) <= most * _HEARD_OUT
        while more and size <= most * _HEARD_OUT:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(HTTPStatus.BAD_REQUEST, "the request was broken off")
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


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already to the next who asks."""
    given = False

    async def first_the_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first_the_body


def _in_one_line(send: Send) -> Send:
    """Send on what MLflow answers; of an error only what a client can do something about."""
    status = 0
    parts: list[bytes] = []

    async def shortened(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        if status < HTTPStatus.BAD_REQUEST:
            await send(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                await _tell(send, *_explained(HTTPStatus(status), b"".join(parts)))

    return shortened


def _explained(status: HTTPStatus, answer: bytes) -> tuple[HTTPStatus, str]:
    """Status and line for an error that MLflow or the model found."""
    try:
        told = json.loads(answer)
        message, trace = str(told["message"]), str(told.get("stack_trace") or "")
    except (ValueError, TypeError, KeyError):
        message, trace = answer.decode(errors="replace"), ""
    if trace:
        logger.error("%s", trace)
        kind, _, said = trace.strip().rpartition("\n")[2].partition(": ")
        if kind not in _USERS:
            return HTTPStatus.INTERNAL_SERVER_ERROR, "the model failed; its log says where"
        message = said
    return status, message.rpartition("Error: ")[2].strip()[:_SHOWN_CHARACTERS]


async def _tell(send: Send, status: HTTPStatus, reason: str) -> None:
    content = orjson.dumps({"error": " ".join(reason.split())})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": content})


def find_model() -> Path:
    """The folder with the file `MLmodel`, which Azure ML puts some levels below where it says.

    Raises:
        ValueError: There is none.
    """
    folders = [Path(os.environ[name]) for name in _MODEL_FOLDERS if name in os.environ]
    found = [path for folder in folders for path in folder.rglob("MLmodel")]
    if not found:
        told = " or ".join(map(str, folders)) or f"the folder that {_MODEL_FOLDERS[0]} names"
        raise ValueError(f"no model in MLflow's format is in {told}")
    return min(found, key=lambda path: len(path.parts)).parent


def make_app(folder: Path, limits: Limits) -> Guard:
    """The guarded server of a model that has just answered the example it was registered with.

    Raises:
        RefusedError: The example is no batch by the model's own signature.
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
    """Serve until told to stop."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    with suppress(KeyboardInterrupt):
        app = make_app(find_model(), Limits.of_environment())
        # What is there now stays: otherwise each large batch has all of it looked through for
        # garbage, which takes eight times as long as to check the batch.
        gc.collect()
        gc.freeze()
        uvicorn.run(
            app,
            host=os.environ.get("KEDRO_CLOUD_HOST", "0.0.0.0"),
            port=int(os.environ.get("KEDRO_CLOUD_PORT", PORT)),
            log_level="warning",
            limit_concurrency=REQUESTS_AT_ONCE,
            timeout_keep_alive=_KEPT_OPEN_S,
            timeout_graceful_shutdown=30,
        )


if __name__ == "__main__":
    main()
