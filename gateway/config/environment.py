"""Environment variables inside scalars: ``${VAR}``, ``${VAR:-default}`` and ``os.environ/VAR``.

The first two may stand anywhere in a text and several times; the third, LiteLLM's form, is the whole
text. A value is taken literally: what a variable contains is never expanded again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_WHOLE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Expansion:
    """A text after expansion. ``variables`` are those it read, ``unset`` those without value or default.

    ``malformed``: it holds a ``${`` that begins no reference, which is never meant.
    """

    text: str
    variables: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    malformed: bool = False


def expand(text: str, environ: Mapping[str, str]) -> Expansion:
    """Replace every reference in ``text``. As in a shell, ``:-`` also replaces an empty variable."""
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        name = whole[1]
        return Expansion(environ.get(name, ""), (name,), () if name in environ else (name,))
    variables: list[str] = []
    unset: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        variables.append(name)
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            unset.append(name)
        return environ.get(name, "")

    expanded = _BRACED.sub(value_of, text)
    malformed = "${" in _BRACED.sub("", text)
    return Expansion(expanded, tuple(dict.fromkeys(variables)), tuple(dict.fromkeys(unset)), malformed)
