"""Slow clients must not keep a served model from others."""

import asyncio
import json
import re
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kedro_cloud.models.scoring import connections
from kedro_cloud.models.scoring.connections import RequestLimit, TimedProtocol
from support import GUARD_S

REQUEST = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
PROTOCOLS = [
    TimedProtocol,
    type("TimedH11", (TimedProtocol, H11Protocol), {}),
]
SHORT = {"headers_s": 0.5, "body_s": 0.5, "response_s": 0.5}


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
def serving(app, protocol, **times):
    timed = type("Timed", (protocol,), times)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=timed, log_level="error", timeout_keep_alive=75)
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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_incomplete_request_is_ended_with_408(protocol):
    with serving(echo, protocol, **SHORT) as (port, _), ExitStack() as stack:
        clients = [stack.enter_context(connected(port)) for _ in range(3)]
        for client, size in zip(clients, (0, 30, len(REQUEST) - 2), strict=True):
            client.sendall(REQUEST[:size])
        for client in clients:
            assert read_all(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dripping_bytes_do_not_prolong_the_time(protocol):
    with serving(echo, protocol, **SHORT) as (port, _), connected(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\n")
        with pytest.raises(OSError):  # reset or broken pipe
            for index in range(GUARD_S * 20):
                client.sendall(b"x-%d: 1\r\n" % index)
                time.sleep(0.05)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_connection_is_kept_between_requests_but_not_within_the_next(protocol):
    with serving(echo, protocol, **SHORT) as (port, _), connected(port) as client:
        for _ in range(2):
            assert ask(client).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.8)  # longer than any of the times: the client is idle, not slow
        client.sendall(REQUEST[:20])
        assert read_all(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_slow_model_is_not_interrupted(protocol):
    with serving(echo, protocol, **SHORT) as (port, _), connected(port) as client:
        answer = ask(client, REQUEST.replace(b"body", b"WWxx"))
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_client_that_does_not_read_is_disconnected(protocol):
    with serving(echo, protocol, **SHORT) as (port, server), connected(port) as client:
        client.sendall(REQUEST.replace(b"body", b"Lxxx"))
        deadline = time.monotonic() + GUARD_S
        while not server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not server.server_state.connections


def test_idle_connections_do_not_count_as_requests():
    app = RequestLimit(echo, 2)
    with serving(app, TimedProtocol) as (port, _):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        with connected(port) as client:
            assert ask(client).startswith(b"HTTP/1.1 200 ")
        for each in idle:
            each.close()


def test_requests_beyond_the_limit_get_503_in_json_and_probes_an_answer():
    app = RequestLimit(echo, 2)
    slow = REQUEST.replace(b"body", b"WWWW")
    with serving(app, TimedProtocol) as (port, _):
        running = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        for each in running:
            each.sendall(slow)
        while app._running < 2:
            time.sleep(0.01)
        with connected(port) as client:
            head, _, content = ask(client).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert "busy" in json.loads(content)["error"]
        with connected(port) as client:
            assert ask(client, b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").startswith(b"HTTP/1.1 200")
        for each in running:
            assert each.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            each.close()
        with connected(port) as client:
            assert ask(client).startswith(b"HTTP/1.1 200 ")


def test_the_image_has_the_faster_protocol():
    assert issubclass(TimedProtocol, HttpToolsProtocol)
    assert connections.HEADERS_S < connections.BODY_S <= 30
