"""An MCP server on the real SDK that counts: every answer that was not kept differs. ``counting_server.py [PORT]``.

``counter://now`` is cacheable for a minute by the server's own word (modern clients only).
"""

from __future__ import annotations

import asyncio
import sys

from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer(
    "counting",
    version="1.0",
    cache_hints={
        "resources/read": CacheHint(ttl_ms=60_000, scope="public"),
        "tools/list": CacheHint(ttl_ms=1_000),
    },
)
_count = 0
_arrived = 0
_opened = asyncio.Event()


class Answer(BaseModel):
    word: str


def _next() -> int:
    global _count
    _count += 1
    return _count


@server.tool()
def get_count(of: str = "") -> str:
    """Count, without a word about side effects."""
    return f"{of}{_next()}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def get_safe() -> str:
    """Count; read only by its own word."""
    return str(_next())


@server.tool(annotations=ToolAnnotations(read_only_hint=False))
def get_unsafe() -> str:
    """Count; changes something by its own word."""
    return str(_next())


@server.tool()
def get_broken() -> str:
    """Fail."""
    raise ValueError(f"broken {_next()}")


@server.tool()
def put_count() -> str:
    """Count; no pattern names it."""
    return str(_next())


@server.tool()
async def get_slow() -> str:
    """Count, once ``get_open`` was called."""
    global _arrived
    _arrived += 1
    await _opened.wait()
    return str(_next())


@server.tool()
def get_open() -> str:
    """Let the slow ones go."""
    _opened.set()
    return f"{_arrived} came"


@server.tool()
async def get_asked(ctx: Context) -> str:  # type: ignore[type-arg]
    """Ask the caller for a word."""
    answer = await ctx.elicit("Which word?", Answer)
    return f"{answer.action} {_next()}"


@server.tool()
def put_silent_tool() -> str:
    """A new tool, of which nobody is told."""
    server.add_tool(get_count, name="get_silent")
    return "added"


@server.tool()
async def put_tool(ctx: Context) -> str:  # type: ignore[type-arg]
    """Say that the list of tools has changed."""
    server.add_tool(get_count, name="get_more")
    await ctx.notify_tools_changed()
    return "changed"


@server.resource("counter://now")
def now() -> str:
    """Count."""
    return str(_next())


def main() -> None:
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")


if __name__ == "__main__":
    main()
