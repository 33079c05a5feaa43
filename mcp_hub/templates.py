"""Which listed template describes a URI: the one with the longest literal beginning.

RFC 6570 expressions are taken as holes: ``{x}`` is one path segment, ``{+x}`` and ``{/x*}`` any number of
characters. Enough to find the member that declared the template; the member itself reads the URI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from mcp_hub.view import Origin

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_SEGMENT = r"[^/?#]+"
_ANYTHING = r".*"
_WIDE = ("+", "#", "/", "?", "&", ";", ".")


def match_template(templates: Mapping[str, Origin], uri: str) -> Origin | None:
    """The origin of the template that ``uri`` fits best, or ``None``."""
    best: tuple[int, Origin] | None = None
    for template, origin in templates.items():
        pattern, literal = _compile(template)
        if uri.startswith(literal) and pattern.fullmatch(uri) and (best is None or len(literal) > best[0]):
            best = len(literal), origin
    return best[1] if best is not None else None


@lru_cache(maxsize=4_096)
def _compile(template: str) -> tuple[re.Pattern[str], str]:
    parts: list[str] = []
    at = 0
    for match in _EXPRESSION.finditer(template):
        parts.append(re.escape(template[at : match.start()]))
        parts.append(_ANYTHING if match[1].startswith(_WIDE) else _SEGMENT)
        at = match.end()
    parts.append(re.escape(template[at:]))
    return re.compile("".join(parts), re.DOTALL), template.partition("{")[0]
