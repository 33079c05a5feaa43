"""Which tools a target of another dialect is told of, and how many calls at once it may make."""

from __future__ import annotations

from collections.abc import Iterator

from providers.canonical.losses import Losses
from providers.canonical.request import Request, Tool

PLACEHOLDER = "DeferredToolPlaceholder"
"""Claude Code's tool that stands for those that are not loaded yet: nobody can call it."""


def offered(request: Request) -> Iterator[Tool]:
    """The caller's tools. A deferred one that is there was found by a search, and is an ordinary tool elsewhere."""
    return (tool for tool in request.tools if not (tool.deferred and tool.name == PLACEHOLDER))


def lose_single_call(request: Request, losses: Losses) -> None:
    """For vendors that cannot be told to make one call at a time. Where one tool must be called, as frameworks do to
    have a form filled in, models make one call as it is."""
    if request.settings.parallel_calls is not False:
        return
    if request.choice is not None and request.choice.mode == "named":
        losses.hint("parallel_tool_calls")
    else:
        losses.demand("parallel_tool_calls")


def lose_hosted(request: Request, losses: Losses) -> None:
    """Name every tool that the caller's own vendor runs as lost: the model is not told of it. One that *must* be called
    is a demand."""
    wanted = request.choice.name if request.choice is not None and request.choice.mode == "named" else None
    for hosted in request.hosted:
        if hosted.kind == wanted:
            losses.demand(f"tools.{hosted.kind}")
        else:
            losses.hint(f"tools.{hosted.kind}")
