"""An upstream that costs next to nothing: ``python -m bench.mock PORT``.

By path: ``/v1/chat/completions`` (600 bytes, or 50 events if the body says ``"stream":true``), ``/v1/messages``
(Anthropic), ``/mcp`` (``bench.mock_mcp``). A stream for the user ``held`` never ends: an event every two seconds, until
its client leaves.
No HTTP library: a request's head ends at an empty line, its body at its length.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from bench import mock_mcp

CHUNKS = 50
_SAID = "Hello! This is a fixed answer of a mock, about as long as a short reply of a chat model usually is, no more."
_USAGE = {"prompt_tokens": 42, "completion_tokens": 25, "total_tokens": 67}
_DETAILS = {"prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}}


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_mock\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _chat() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": _SAID, "refusal": None}, "finish_reason": "stop"}
    named = {
        "id": "chatcmpl-" + "m" * 29,
        "object": "chat.completion",
        "created": 1760000000,
        "model": "mock-2026-01-01",
    }
    return json.dumps({**named, "choices": [{**choice, "logprobs": None}], "usage": {**_USAGE, **_DETAILS}}).encode()


def _chat_events() -> list[bytes]:
    named = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1760000000, "model": "mock"}

    def event(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + json.dumps({**named, "choices": [choice], **more}).encode() + b"\n\n"

    first = event({"role": "assistant", "content": ""})
    last = event({}, "stop", usage=_USAGE) + b"data: [DONE]\n\n"
    return [first, *[event({"content": " token"})] * (CHUNKS - 2), last]


def _messages() -> bytes:
    usage = {"input_tokens": 42, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 25}
    named = {"id": "msg_" + "m" * 24, "type": "message", "role": "assistant", "model": "mock-2026-01-01"}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return json.dumps({**named, "content": [{"type": "text", "text": _SAID * 2}], **ended, "usage": usage}).encode()


ANSWERS = {b"/v1/chat/completions": _answer(_chat()), b"/v1/messages": _answer(_messages())}
_EVENTS = [_chunk(event) for event in _chat_events()]
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM = b"".join((_STREAM_HEAD, *_EVENTS, b"0\r\n\r\n"))
HELD = b"".join((_STREAM_HEAD, *_EVENTS[:2]))
HELD_S = 2.0
UNKNOWN = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Mock(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            _, _, length = head.partition(b"content-length:")
            whole = end + 4 + (int(length.split(b"\r\n", 1)[0]) if length else 0)
            if len(self._data) < whole:
                return
            verb, path, _ = head.split(b" ", 2)
            if path.startswith(b"/mcp"):
                said = mock_mcp.answer(verb, path, bytes(self._data[end + 4 : whole]))
            elif self._data.find(b'"stream":true', end) < 0:
                said = ANSWERS.get(path, UNKNOWN)
            elif self._data.find(b'"user":"held"', end) < 0:
                said = STREAM
            else:
                said = HELD
                self._hold()
            del self._data[:whole]
            self._transport.write(said)

    def _hold(self) -> None:
        """Another event in a while, and so on."""
        if self._next is not None:
            self._transport.write(_EVENTS[1])
        self._next = asyncio.get_running_loop().call_later(HELD_S, self._hold)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
