"""Slow clients must not keep a served model from others."""

import asyncio
import json
import re
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import mlflow
import numpy as np
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kedro_cloud.models.scoring import EXAMPLE, serve
from kedro_cloud.models.scoring.connections import TimedProtocol
from support import GUARD_S

REQUEST = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
HASTY = type("Hasty", (TimedProtocol,), {"headers_s": 0.5, "body_s": 0.5, "response_s": 0.5})


async def echo(scope, receive, send):
    """Answer with the body, and 10 MB for each `L` in it, after half a second for each `W`."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    await asyncio.sleep(0.5 * body.count(b"W"))
    content = body + b"x" * 10_000_000 * body.count(b"L")
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def serving(app, protocol):
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=protocol, log_level="error", timeout_keep_alive=75)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join(GUARD_S)
        listener.close()


@contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), timeout=GUARD_S) as client:
        yield client


def read_all(client):
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def ask(client, request=REQUEST):
    """Return the complete response."""
    client.sendall(request)
    answer, size = b"", None
    while size is None or len(answer) < size:
        part = client.recv(1 << 16)
        assert part, answer
        answer += part
        head, end, _ = answer.partition(b"\r\n\r\n")
        if end:
            (length,) = re.findall(rb"content-length: (\d+)", head)
            size = len(head) + len(end) + int(length)
    return answer


def test_incomplete_request_is_ended_with_408():
    with serving(echo, HASTY) as (port, _), ExitStack() as stack:
        clients = [stack.enter_context(connected(port)) for _ in range(3)]
        for client, size in zip(clients, (0, 30, len(REQUEST) - 2), strict=True):
            client.sendall(REQUEST[:size])
        for client in clients:
            assert read_all(client).startswith(b"HTTP/1.1 408 ")


def test_dripping_bytes_do_not_prolong_the_time():
    with serving(echo, HASTY) as (port, _), connected(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\n")
        with pytest.raises(OSError):  # reset or broken pipe
            for index in range(GUARD_S * 20):
                client.sendall(b"x-%d: 1\r\n" % index)
                time.sleep(0.05)


def test_connection_is_kept_between_requests_but_not_within_the_next():
    with serving(echo, HASTY) as (port, _), connected(port) as client:
        for _ in range(2):
            assert ask(client).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.8)  # longer than any of the times: the client is idle, not slow
        client.sendall(REQUEST[:20])
        assert read_all(client).startswith(b"HTTP/1.1 408 ")


def test_slow_model_is_not_interrupted():
    with serving(echo, HASTY) as (port, _), connected(port) as client:
        answer = ask(client, REQUEST.replace(b"body", b"WWxx"))
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_client_that_does_not_read_is_disconnected():
    with serving(echo, HASTY) as (port, server), connected(port) as client:
        client.sendall(REQUEST.replace(b"body", b"Lxxx"))
        deadline = time.monotonic() + GUARD_S
        while not server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not server.server_state.connections


class SlowModel:
    """A model whose predictions of several rows wait for an event; it is its own metadata."""

    def __init__(self):
        self.metadata, self.event = self, threading.Event()

    def get_input_schema(self):
        return mlflow.models.infer_signature(np.zeros((1, 1))).inputs

    def predict(self, rows):
        assert len(rows) == 1 or self.event.wait(GUARD_S)
        return rows


def test_requests_beyond_the_limit_get_503_in_json_but_idle_connections_do_not_count(
    monkeypatch, tmp_path
):
    model = SlowModel()
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda folder: model)
    monkeypatch.setattr("os.cpu_count", lambda: 9)  # a further request would be answered at once
    (tmp_path / EXAMPLE).write_text('{"inputs": [[1]]}')
    head = "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    slow, fast = (
        f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()
        for body in ('{"inputs": [[1], [2]]}', '{"inputs": [[1]]}')
    )
    app = serve.make_app(tmp_path, max_requests=2)
    with serving(app, TimedProtocol) as (port, server), ExitStack() as stack:
        clients = [stack.enter_context(connected(port)) for _ in range(22)]
        stack.callback(model.event.set)  # also after a failure, so that the server can end
        for client in clients[:2]:
            client.sendall(slow)
        while len(server.server_state.tasks) < 2:
            time.sleep(0.01)
        answer, _, content = ask(clients[2], fast).partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert "busy" in json.loads(content)["error"]
        ping = b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"
        assert ask(clients[3], ping).startswith(b"HTTP/1.1 200 ")
        model.event.set()
        for client in clients[:2]:
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        assert ask(clients[4], fast).startswith(b"HTTP/1.1 200 ")


def test_the_image_has_the_protocol_that_is_tested():
    assert issubclass(TimedProtocol, HttpToolsProtocol)
