"""The MCP side of the gate in one process, without sockets: the real surface, hub, sessions, passage and counters,
in front of members that answer at once. Ledger rows are only counted.

For tests that count work: nothing here depends on time, on the network or on other processes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec

from gateway.surfaces.discovery import public_url_of
from gateway.surfaces.mcp import McpParts, McpSurface
from gateway.surfaces.mcp_calls import CallParts
from gateway.surfaces.mcp_requests import McpRequests, Presentation
from mcp_hub.bridge import BridgeParts
from mcp_hub.cursors import Cursors
from mcp_hub.hub import Hub, HubSettings
from mcp_hub.parking import ParkingLot, ParkingRules
from mcp_hub.request_state import RequestStates
from mcp_hub.seams import MODERN_VERSION
from mcp_hub.subscriptions import Viewer
from mcp_hub.upstream.process import ChildProcess
from mcp_hub.upstream.specs import HttpSpec, MemberSpec, StdioSpec
from mcp_hub.upstream.supervisor import Supervisor, SupervisorSettings
from mcp_hub.wire.client_sessions import ClientSessions
from policies.admission import Grants
from policies.egress import Timeouts, Trust
from policies.grants import EVERYTHING
from policies.identity import Directory, VirtualKey
from policies.ledger import LedgerRow
from policies.memory_counters import MemoryCounters
from policies.passage import Passage
from policies.pricing import FREE, Price
from policies.runs import ToolUseIndex
from policies.sealing import Sealer
from policies.tiers import Budget, Rate, Tier, TierId, TierKind, Window
from policies.types import Principal

SECRET = "vk-counted"
ROOT = Path(__file__).parent.parent.parent
ROOMS = tuple(f"{ROOT / room}/" for room in ("gateway", "mcp_hub", "policies", "providers"))
GENERATED = "<string>"
"""Where the methods of dataclasses are."""
KINDS: tuple[TierKind, ...] = ("key", "team", "customer")
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True)
class MemberScript:
    """What every member answers. ``modern``: the stateless era, else the initialize era."""

    tools: int = 10
    modern: bool = False

    def answer(self, message: bytes) -> bytes | None:
        """The line that answers ``message``; ``None`` for a notification."""
        asked = msgspec.json.decode(message)
        if "id" not in asked:
            return None
        told = self._result(asked["method"])
        said = {"error": {"code": -32601, "message": "Method not found"}} if told is None else {"result": told}
        return msgspec.json.encode({"jsonrpc": "2.0", "id": asked["id"], **said})

    def _result(self, method: str) -> dict[str, Any] | None:
        complete = {"resultType": "complete"} if self.modern else {}
        if method == "tools/call":
            return {**complete, "content": [{"type": "text", "text": "done"}], "isError": False}
        if method == "tools/list":
            schema = {"type": "object", "properties": {"message": {"type": "string"}}}
            return {**complete, "tools": [{"name": f"tool_{n}", "inputSchema": schema} for n in range(self.tools)]}
        if method == "server/discover" and self.modern:
            return {**complete, "supportedVersions": [MODERN_VERSION], "capabilities": {"tools": {}}}
        if method == "initialize" and not self.modern:
            return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}
        return None


class InstantResponse:
    """``policies.egress.ByteResponse``: all there at once."""

    status = 200
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),)

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def read(self, limit: int) -> bytes:
        return self._body

    def close(self) -> None:
        """Nothing is open."""


class InstantTransport:
    """``policies.egress.HttpTransport`` to scripted members."""

    def __init__(self, script: MemberScript) -> None:
        self._script = script

    async def open(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        timeouts: Timeouts,
        trust: Trust = "operator",
    ) -> InstantResponse:
        answer = self._script.answer(body) if body else None
        await _next_turn()
        return InstantResponse(answer or b"")


class InstantChild:
    """Takes the place of a ``ChildProcess``."""

    pid = 0
    alive = True

    def __init__(self, script: MemberScript, on_line: Callable[[bytes], None]) -> None:
        self._script = script
        self._on_line = on_line

    def write(self, line: bytes) -> None:
        answer = self._script.answer(line)
        if answer is not None:
            asyncio.get_running_loop().call_soon(self._on_line, answer)

    def stderr_tail(self) -> str:
        return ""

    async def stop(self) -> None:
        """Nothing runs."""


@dataclass
class CountedBooks:
    """A ledger that only counts."""

    opened: int = 0
    recorded: int = 0

    def open(self, row: LedgerRow) -> None:
        self.opened += 1

    def record(self, row: LedgerRow) -> None:
        self.recorded += 1


@dataclass
class McpHouse:
    """``async with McpHouse.of(script, …)``."""

    script: MemberScript
    specs: Sequence[MemberSpec]
    books: CountedBooks = field(default_factory=CountedBooks)

    @classmethod
    def of(cls, script: MemberScript, *, servers: int = 1, stdio: bool = False) -> McpHouse:
        names = [f"server{number}" for number in range(servers)]
        if stdio:
            return cls(script, [StdioSpec(name, "scripted") for name in names])
        return cls(script, [HttpSpec(name, f"http://127.0.0.1/{name}") for name in names])

    async def __aenter__(self) -> McpHouse:
        self._started, ChildProcess.start = ChildProcess.start, self._start  # type: ignore[assignment, method-assign]
        clock = time.time_ns
        self.key = VirtualKey(Principal("counted", "team", "customer"), Grants(tools=EVERYTHING), _tiers())
        directory = Directory((str.encode,), clock)
        directory.replace([(SECRET.encode(), self.key)])
        transport = InstantTransport(self.script)
        self.supervisor = Supervisor(transport, SupervisorSettings(), clock, lambda *_: None)
        self.supervisor.reconfigure(self.specs)
        self.hub = Hub(self.supervisor, HubSettings(page_size=100_000), clock)
        self.hub.reconfigure([spec.name for spec in self.specs])
        uses = ToolUseIndex(clock)
        sealer = Sealer(b"counted" * 8, "test")
        self.sessions = ClientSessions(1_000_000, 10**18, clock)
        requests = McpRequests(self.hub, uses, clock, Cursors(sealer), Presentation({"name": "gate", "version": "1"}))
        calls = CallParts(
            hub=self.hub,
            requests=requests,
            passage=Passage(MemoryCounters(), self.books, uses, clock),
            bridge=BridgeParts(RequestStates(sealer, clock)),
            parking=ParkingLot(ParkingRules()),
            price=lambda: _free,
            deadline_s=600.0,
        )
        self.surface = McpSurface(McpParts(calls, self.sessions, directory, clock, 1 << 20, public_url_of(None)))
        await self.hub.ready(Viewer(self.key, None))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hub.stop()
        await self.supervisor.stop()
        ChildProcess.start = self._started  # type: ignore[method-assign]

    async def _start(
        self, spec: StdioSpec, on_line: Callable[[bytes], None], on_exit: Callable[[str], None]
    ) -> InstantChild:
        return InstantChild(self.script, on_line)

    async def post(self, body: Mapping[str, Any], headers: Mapping[str, str], path: str = "/mcp") -> Answered:
        """One request, to its answer."""
        return await self.exchange(_scope(headers, path), msgspec.json.encode(body))

    async def exchange(self, scope: dict[str, Any], body: bytes) -> Answered:
        answered = Answered()
        arrived = False

        async def receive() -> dict[str, Any]:
            nonlocal arrived
            if arrived:
                await asyncio.get_running_loop().create_future()
            arrived = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.status = message["status"]
                answered.headers = dict(message["headers"])
            else:
                answered.body += message["body"]

        await self.surface(scope, receive, send)
        return answered

    async def initialize(self) -> str:
        """A new session of a client of the initialize era: its id."""
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        answered = await self.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, {})
        return answered.headers[b"mcp-session-id"].decode()


@dataclass
class Answered:
    """An HTTP answer."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Request:
    """One request of a client, prepared."""

    scope: dict[str, Any]
    body: bytes

    @classmethod
    async def of(cls, house: McpHouse, method: str, *, modern: bool, tool: str = "") -> Request:
        params: dict[str, Any] = {"name": tool, "arguments": {"message": "a text of some length"}} if tool else {}
        if modern:
            params["_meta"] = META
            headers = {"mcp-protocol-version": MODERN_VERSION, "mcp-method": method}
            headers |= {"mcp-name": tool} if tool else {}
        else:
            headers = {"mcp-protocol-version": "2025-11-25", "mcp-session-id": await house.initialize()}
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        return cls(_scope(headers, "/mcp"), body)


async def count_calls(work: Callable[[], Awaitable[object]]) -> int:
    """How many functions the gate's own code is entered by and calls, until ``work`` is done: the same on every
    machine and under any load. What the event loop and the standard library do inside is not counted."""
    counted = 0
    own: dict[CodeType, bool] = {}

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        if event not in ("call", "c_call"):
            return
        code = frame.f_code
        known = own.get(code)
        if known is None:
            known = own[code] = code.co_filename == GENERATED or code.co_filename.startswith(ROOMS)
        counted += known

    sys.setprofile(profile)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return counted


def _free(server: str, name: str) -> Price:
    return FREE


async def _next_turn() -> None:
    arrived = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(arrived.set_result, None)
    await arrived


def _scope(headers: Mapping[str, str], path: str) -> dict[str, Any]:
    sent = {
        "host": "127.0.0.1:8080",
        "authorization": f"Bearer {SECRET}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        **headers,
    }
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": pairs}


def _tiers() -> tuple[Tier, ...]:
    budgets = (Budget(10**18, Window(1, "M")),)
    rates = (Rate("requests", 10**9, Window(1, "h")), Rate("tokens", 10**12, Window(1, "d")))
    return tuple(Tier(TierId(kind, "counted"), budgets, rates) for kind in KINDS)
