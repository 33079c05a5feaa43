"""Exposed names: what a client sees of (server, tool), and nothing else decides it.

``<server>__<tool>`` when that is unambiguous, legal and short enough; else a shortened form with a
digest. A pure function of its arguments: adding or removing another server never renames a tool.
Injective by construction, so that routing can be a table and no name is ever parsed:

- a plain form needs a server without ``__`` that does not end in ``_`` (the configuration admits no
  other), so the first ``__`` is the border;
- a plain form never ends like a digest (``_`` and eight hex digits); a digested form always does.

Length: model APIs take 64 characters of ``[A-Za-z0-9_-]``, and a client puts its own prefix in front
(Claude Code: ``mcp__<alias>__``), which is counted in.
"""

from __future__ import annotations

import hashlib
import re

MAX_NAME = 64
_LEGAL = re.compile(r"[A-Za-z0-9_-]+")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]+")
_DIGESTED = re.compile(r".*_[0-9a-f]{8}", re.DOTALL)
_DIGEST_LENGTH = 9


def exposed_name(server: str, name: str, client_prefix: int) -> str:
    """The name under which ``name`` of ``server`` is exposed beside other servers. ``client_prefix`` is
    the number of characters kept for the client's own prefix."""
    plain = f"{server}__{name}"
    budget = MAX_NAME - client_prefix
    unambiguous = not name.startswith("_") and "__" not in server and not server.endswith("_")
    if unambiguous and len(plain) <= budget and _LEGAL.fullmatch(plain) and not _DIGESTED.fullmatch(plain):
        return plain
    digest = hashlib.sha256(f"{server}\0{name}".encode()).hexdigest()[: _DIGEST_LENGTH - 1]
    kept = _ILLEGAL.sub("_", plain)[: budget - _DIGEST_LENGTH]
    return f"{kept}_{digest}"
