"""Runs: which agent session a call belongs to, and which model call asked for which tool call.

When a tool-use block is forwarded to a client, its id is remembered with the call that carried it.
The tool call that follows names the id (``_meta["claudecode/toolUseId"]``, Codex ``callId``) and so
finds its run and its parent. Looked up only within the same key; bounded, with a time to live.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from policies.types import CallContext

TTL_NS = 3600 * 1_000_000_000
CAPACITY = 65_536
MAX_ID = 256
"""Characters. Vendors' ids have about 30; a longer one is not worth the memory."""


class Asked(msgspec.Struct, frozen=True):
    """Who asked for a tool use."""

    call_id: str
    run: str | None
    agent_id: str | None
    expires_ns: int


class ToolUseIndex:
    """Tool-use id to the model call that asked for it."""

    def __init__(self, clock: Callable[[], int], capacity: int = CAPACITY, ttl_ns: int = TTL_NS) -> None:
        self._clock = clock
        self._capacity = capacity
        self._ttl_ns = ttl_ns
        self._entries: OrderedDict[tuple[str, str], Asked] = OrderedDict()

    def remember(self, key: str, tool_use_id: str, context: CallContext) -> None:
        """Note that the call of ``context`` asked for ``tool_use_id``; the last to ask is the parent."""
        if len(tool_use_id) > MAX_ID:
            return
        self._entries[key, tool_use_id] = Asked(
            context.call_id, context.run, context.agent_id, self._clock() + self._ttl_ns
        )
        self._entries.move_to_end((key, tool_use_id))
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def find(self, key: str, tool_use_id: str) -> Asked | None:
        """Who asked for ``tool_use_id`` within ``key``, if it is remembered and recent."""
        asked = self._entries.get((key, tool_use_id))
        if asked is not None and asked.expires_ns <= self._clock():
            del self._entries[key, tool_use_id]
            return None
        return asked
