"""What is measured. A scenario is a value; another surface is another entry."""

from __future__ import annotations

import json

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
LARGE = Scenario("large", "/v1/chat/completions", _body(model="m", messages=_LONG))
HIT = Scenario(
    "hit", "/v1/chat/completions", _body(model="m", messages=_ASK), (("x-bf-cache-key", "bench"),), gate="cache"
)
ALONE = Scenario("alone", "/v1/chat/completions", _body(model="m", messages=_ASK), connections=1)

ABROAD = Scenario("abroad", "/v1/chat/completions", _body(model="c", messages=_ASK))
"""The same as ``CHAT``, but the provider speaks Anthropic's dialect."""
LARGE_ABROAD = Scenario("large-abroad", "/v1/chat/completions", _body(model="c", messages=_LONG))


def _mcp(method: str, connections: int, **params: object) -> Scenario:
    """One request of a modern MCP client (2026-07-28)."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = (
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
        *((("mcp-name", str(params["name"])),) if "name" in params else ()),
    )
    sent = json.dumps(body, separators=(",", ":")).encode()
    return Scenario(method.replace("/", "-"), "/mcp", sent, headers, connections)


TOOL = _mcp("tools/call", 16, name="lab__echo", arguments={"text": "x" * 100})
TOOLS = _mcp("tools/list", 16)
BARE = Scenario("bare", "/v1/chat/completions", _body(model="m", messages=_ASK), gate="bare")
"""``CHAT`` through the least that a gateway in Python can be: the measure of this machine on this day."""

SCENARIOS = (BARE, CHAT, MESSAGES, STREAM, LARGE, HIT, ALONE, ABROAD, LARGE_ABROAD, TOOL, TOOLS)
WORDS = {
    "bare": "chat completions through `bench/bare.py`, which checks and books nothing",
    "chat": "chat completions, 600-byte reply, 32 connections",
    "messages": "Anthropic messages, 600-byte reply, 32 connections",
    "stream": "stream of 50 events, 16 connections",
    "large": "chat completions, 200 kB request, 32 connections",
    "hit": "exact cache hit, 32 connections",
    "alone": "chat completions, one connection",
    "abroad": "chat completions, translated for an Anthropic provider",
    "tools-call": "MCP tools/call, server over Streamable HTTP, 16 connections",
    "tools-list": "MCP tools/list, 200 tools, 16 connections",
    "large-abroad": "the same with a 200 kB request",
}
