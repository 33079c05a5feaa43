"""Tools that a vendor runs itself, offered to another vendor, which cannot: the model is not told of them."""

from __future__ import annotations

from providers.canonical.losses import Losses
from providers.canonical.request import Request


def lose_hosted(request: Request, losses: Losses) -> None:
    """Name every hosted tool as lost: for writers of another dialect than theirs. One that *must* be called is a
    demand."""
    wanted = request.choice.name if request.choice is not None and request.choice.mode == "named" else None
    for hosted in request.hosted:
        if hosted.kind == wanted:
            losses.demand(f"tools.{hosted.kind}")
        else:
            losses.hint(f"tools.{hosted.kind}")
