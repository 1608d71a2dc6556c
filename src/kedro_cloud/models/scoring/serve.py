"""Serve a registered model over HTTP, with MLflow's protocol and a check of each request.

Run `python -m scoring.serve`, with the model below KEDRO_CLOUD_MODEL_DIR or AZUREML_MODEL_DIR.
MLflow's own server casts inputs to the types of the model's signature, even fractions to integers,
and reports errors with a traceback, or not at all. This one checks each batch against the signature
first, and reports errors in one line, `{"error": "…"}`.

Protocol: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/, JSON only.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from contextlib import suppress
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import uvicorn
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import predictions_to_json
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import EXAMPLE, PORT
from .checks import RequestError, parse_batch
from .connections import TimedProtocol

MAX_ROWS = 1000
MAX_BYTES = 10_000_000
MAX_REQUESTS = 128
"""Further concurrent requests get 503 at once, instead of waiting in memory."""
_KEEP_ALIVE_S = 75
"""Longer than usual for load balancers, which otherwise reuse a connection that is closed."""
_MODEL_FOLDERS = ("KEDRO_CLOUD_MODEL_DIR", "AZUREML_MODEL_DIR")
"""Environment variables. Azure ML may not set its own for an MLflow model with a custom image."""
_INPUT_ERRORS = (ValueError, TypeError, KeyError, OverflowError, MlflowException)
"""Exceptions of a model for invalid input; all others are errors of the server."""

logger = logging.getLogger("kedro_cloud.scoring")


def find_model() -> Path:
    """Return the folder of the file `MLmodel`, which Azure ML places some levels below its folder.

    Raises:
        ValueError: No folder contains a model.
    """
    folders = [Path(os.environ[name]) for name in _MODEL_FOLDERS if name in os.environ]
    if not folders:
        raise ValueError(f"no model folder: set {_MODEL_FOLDERS[0]}")
    found = [path for folder in folders for path in folder.rglob("MLmodel")]
    if not found:
        raise ValueError(f"{' or '.join(map(str, folders))}: expected an MLflow model, found none")
    return min(found, key=lambda path: len(path.parts)).parent


def make_app(
    folder: Path,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
    max_requests: int = MAX_REQUESTS,
) -> Starlette:
    """Load a model, test it with its input example, and return its server.

    Raises:
        RequestError: The model fails on its own input example.
        ValueError: The model has no signature.
    """
    model = mlflow.pyfunc.load_model(str(folder))
    if model.metadata.get_input_schema() is None:
        raise ValueError("the model has no signature; register it again")
    predict(model, (folder / EXAMPLE).read_bytes(), max_rows)
    requests = asyncio.Semaphore(max_requests)
    # More concurrent predictions than cores would only slow each other down.
    predictions = asyncio.Semaphore(os.cpu_count() or 1)

    async def invocations(request: Request) -> Response:
        if requests.locked():
            message = "the server is busy; retry later"
            raise RequestError(message, HTTPStatus.SERVICE_UNAVAILABLE)
        async with requests:
            body = await _read_body(request, max_bytes)
            async with predictions:
                answer = await asyncio.to_thread(predict, model, body, max_rows)
            return Response(answer, media_type="application/json")

    async def ping(request: Request) -> Response:
        return Response("\n", media_type="application/json")

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/health", ping),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={RequestError: _format_error},
    )


def predict(model: Any, body: bytes, max_rows: int) -> str:
    """Return a model's predictions for a batch in MLflow's protocol, both as JSON.

    Raises:
        RequestError: The batch is invalid, or the model failed.
    """
    batch = parse_batch(body, model.metadata.get_input_schema(), max_rows)
    output = StringIO()
    try:
        predictions_to_json(model.predict(batch), output)
    except Exception as error:
        logger.exception("the model failed")
        if isinstance(error, _INPUT_ERRORS):
            raise RequestError(str(error)) from error
        message = "the model failed; see the server's log"
        raise RequestError(message, HTTPStatus.INTERNAL_SERVER_ERROR) from error
    return output.getvalue()


async def _read_body(request: Request, max_bytes: int) -> bytes:
    """Return the complete body; raise RequestError if its type or size is wrong."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(
            f"expected Content-Type: application/json, found {content_type[:80] or 'none'}",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= max_bytes:  # read the rest as well: most clients send all before they read
                parts.append(part)
    except ClientDisconnect as error:
        raise RequestError("the client disconnected") from error
    if size > max_bytes:
        raise RequestError(
            f"expected at most {max_bytes:,} bytes; send several requests",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return b"".join(parts)


async def _format_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    is_busy = error.status == HTTPStatus.SERVICE_UNAVAILABLE
    # The body is not read then, so the connection cannot be used again.
    headers = {"connection": "close", "retry-after": "1"} if is_busy else None
    return JSONResponse({"error": str(error)}, error.status, headers)


def main() -> None:
    """Serve until a signal stops the process."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    with suppress(KeyboardInterrupt):
        app = make_app(
            find_model(),
            int(os.environ.get("KEDRO_CLOUD_MAX_ROWS") or MAX_ROWS),
            int(os.environ.get("KEDRO_CLOUD_MAX_BYTES") or MAX_BYTES),
        )
        # Objects of the start are kept forever. Without freezing them, each large batch makes the
        # garbage collector scan them, which takes eight times as long as checking the batch.
        gc.collect()
        gc.freeze()
        uvicorn.run(
            app,
            http=TimedProtocol,
            host=os.environ.get("KEDRO_CLOUD_HOST", "0.0.0.0"),
            port=int(os.environ.get("KEDRO_CLOUD_PORT", PORT)),
            log_level="warning",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=30,
        )


if __name__ == "__main__":
    main()
