"""What a target's dialect cannot express of a request: said, never silent.

Two sorts. A *hint* changes nothing of what is asked (a cache mark, a label for the vendor's bill): it is left out, and
the answer's header ``x-tollkeeper-dropped`` names it. A *demand* would change the answer: by the provider's
``unsupported`` the call is refused by name, or the demand is dropped and named in the same header.
"""

from __future__ import annotations


class Losses:
    """Filled by one writer for one request. Fields are named as the client's dialect spells them."""

    __slots__ = ("demands", "hints")

    def __init__(self) -> None:
        self.hints: list[str] = []
        self.demands: list[str] = []

    def hint(self, field: str) -> None:
        """Left out; nobody misses it in the answer."""
        if field not in self.hints:
            self.hints.append(field)

    def demand(self, field: str) -> None:
        """The target cannot do it, and the answer would be another."""
        if field not in self.demands:
            self.demands.append(field)

    def all(self) -> list[str]:
        return [*self.demands, *self.hints]
