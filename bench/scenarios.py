"""What is measured. A scenario is a value; another surface is another entry."""

from __future__ import annotations

import json
from dataclasses import replace

from bench.gate import KEY
from bench.load import Scenario

CREDENTIAL = (("authorization", f"Bearer {KEY}"),)
_ASK = [{"role": "user", "content": "x" * 400}]
_LONG = [{"role": "user", "content": "x" * 1000} for _ in range(195)]


def _body(**fields: object) -> bytes:
    return json.dumps({"max_tokens": 100, **fields}, separators=(",", ":")).encode()


CHAT = Scenario("chat", "/v1/chat/completions", _body(model="m", messages=_ASK))
MESSAGES = Scenario(
    "messages",
    "/anthropic/v1/messages",
    _body(model="c", messages=_ASK),
    (("anthropic-version", "2023-06-01"),),
    direct="/v1/messages",
)
STREAM = Scenario("stream", "/v1/chat/completions", _body(model="m", messages=_ASK, stream=True), connections=16)
HELD = replace(STREAM, name="held", body=_body(model="m", messages=_ASK, stream=True, user="held"))
"""A stream that the mock never ends."""
LARGE = Scenario("large", "/v1/chat/completions", _body(model="m", messages=_LONG))
HIT = Scenario(
    "hit", "/v1/chat/completions", _body(model="m", messages=_ASK), (("x-bf-cache-key", "bench"),), gate="cache"
)
ALONE = Scenario("alone", "/v1/chat/completions", _body(model="m", messages=_ASK), connections=1)

ABROAD = Scenario("abroad", "/v1/chat/completions", _body(model="c", messages=_ASK))
"""The same as ``CHAT``, but the provider speaks Anthropic's dialect."""
LARGE_ABROAD = Scenario("large-abroad", "/v1/chat/completions", _body(model="c", messages=_LONG))


_ACCEPT = ("accept", "application/json, text/event-stream")
LEGACY_VERSION = "2025-11-25"


def _rpc(method: str, request_id: int | None, **params: object) -> bytes:
    body = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(body if request_id is None else {**body, "id": request_id}, separators=(",", ":")).encode()


def _mcp(method: str, connections: int, **params: object) -> Scenario:
    """One request of a modern MCP client (2026-07-28)."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = (
        _ACCEPT,
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
        *((("mcp-name", str(params["name"])),) if "name" in params else ()),
    )
    return Scenario(method.replace("/", "-"), "/mcp", _rpc(method, 1, **params, _meta=meta), headers, connections)


def _legacy(name: str, body: bytes, *, session: bool) -> Scenario:
    """One message of an MCP client of the initialize era."""
    return Scenario(name, "/mcp", body, (_ACCEPT, ("mcp-protocol-version", LEGACY_VERSION)), 16, session=session)


_HELLO = {"protocolVersion": LEGACY_VERSION, "clientInfo": {"name": "bench", "version": "1"}, "capabilities": {}}
INITIALIZE = _legacy("initialize", _rpc("initialize", 0, **_HELLO), session=False)
INITIALIZED = _legacy("initialized", _rpc("notifications/initialized", None), session=True)

_ECHO = {"name": "lab__echo", "arguments": {"text": "x" * 100}}
TOOL = _mcp("tools/call", 16, **_ECHO)
TOOL_ALONE = replace(TOOL, name="tools-alone", connections=1)
TOOL_LEGACY = _legacy("tools-legacy", _rpc("tools/call", 1, **_ECHO), session=True)
TOOL_STDIO = replace(
    _mcp("tools/call", 16, **{**_ECHO, "name": "program__echo"}), name="tools-stdio", direct=None, gate="stdio"
)
TOOLS = _mcp("tools/list", 16)
BARE = Scenario("bare", "/v1/chat/completions", _body(model="m", messages=_ASK), gate="bare")
"""``CHAT`` through the least that a gateway in Python can be: the measure of this machine on this day."""
BARE_ALONE = replace(BARE, name="bare-alone", connections=1)

SCENARIOS = (
    *(BARE, BARE_ALONE, CHAT, MESSAGES, STREAM, LARGE, HIT, ALONE, ABROAD, LARGE_ABROAD),
    *(TOOL, TOOL_LEGACY, TOOL_STDIO, TOOL_ALONE, TOOLS),
)
WORDS = {
    "bare": "chat completions through `bench/bare.py`, which checks and books nothing",
    "bare-alone": "`bench/bare.py`, one connection",
    "chat": "chat completions, 600-byte reply, 32 connections",
    "messages": "Anthropic messages, 600-byte reply, 32 connections",
    "stream": "stream of 50 events, 16 connections",
    "large": "chat completions, 200 kB request, 32 connections",
    "hit": "exact cache hit, 32 connections",
    "alone": "chat completions, one connection",
    "abroad": "chat completions, translated for an Anthropic provider",
    "large-abroad": "the same with a 200 kB request",
    "tools-call": "MCP tools/call, server over Streamable HTTP, 16 connections",
    "tools-legacy": "MCP tools/call, clients of the initialize era, 16 sessions and connections",
    "tools-stdio": "MCP tools/call, server over stdio, 16 connections",
    "tools-alone": "MCP tools/call, server over Streamable HTTP, one connection",
    "tools-list": "MCP tools/list, 200 tools, 16 connections",
}
