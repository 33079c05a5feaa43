"""An MCP server on the real SDK, both eras, over stdio or Streamable HTTP: ``lab_server.py [PORT]``.

Tools: ``add``, ``echo``, ``fail``, ``barrier`` (answers when N calls are in flight), ``die``, ``pid``,
``progress``, ``forever``.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("lab", version="1.0", instructions="A server for tests.")
_waiting = 0
_all_here = asyncio.Event()


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("this tool fails")


@server.tool()
def pid() -> int:
    """The server's process id."""
    return os.getpid()


@server.tool()
def die() -> str:
    """End the process in the middle of the call."""
    os._exit(3)


@server.tool()
async def barrier(count: int) -> str:
    """Answer when ``count`` calls are in flight."""
    global _waiting
    _waiting += 1
    if _waiting >= count:
        _all_here.set()
    await _all_here.wait()
    return "all here"


@server.tool()
async def forever(path: str) -> str:
    """Never answer; note in a file when started and when cancelled."""
    with open(path, "a") as file:  # noqa: PTH123
        file.write("started\n")
    try:
        await asyncio.Event().wait()
    finally:
        with open(path, "a") as file:  # noqa: PTH123
            file.write("cancelled\n")
    return "never"


@server.tool()
async def progress(steps: int, ctx: Context) -> str:  # type: ignore[type-arg]
    """Report progress."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps, f"step {step + 1}")
    return "done"


@server.tool()
async def narrate(ctx: Context) -> str:  # type: ignore[type-arg]
    """Log something of each severity."""
    for level in ("debug", "info", "warning", "error"):
        await ctx.log(level, f"{level} of the tale")  # type: ignore[arg-type]
    return "told"


@server.resource("lab://note")
def note() -> str:
    return "a note"


@server.resource("lab://item/{name}")
def item(name: str) -> str:
    return f"item {name}"


@server.prompt()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Say hello to {name}."


def main() -> None:
    if len(sys.argv) > 2:
        server.run("sse", host="127.0.0.1", port=int(sys.argv[1]))
    elif len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")


if __name__ == "__main__":
    main()
