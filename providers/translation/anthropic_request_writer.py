"""Writes a request for Anthropic's messages API (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

from typing import Any

import msgspec

from providers.canonical.losses import Losses
from providers.canonical.names import PLAIN_128, ToolNames
from providers.canonical.request import Request, Settings, Tool
from providers.translation.anthropic_families import takes_one_sampler, takes_sampling, writes_thinking
from providers.translation.anthropic_request_reader import BILLED
from providers.translation.anthropic_schema import closed_schema
from providers.translation.anthropic_turns import cache_control, messages_of, system_of
from providers.translation.base import Traits, Written
from providers.translation.carried import lose_carried
from providers.translation.custom_tools import function_of
from providers.translation.prompt_cache import with_marks
from providers.translation.sampling import keep_one, lose_sampling
from providers.translation.tool_offers import lose_hosted, offered

DEFAULT_MAX_TOKENS = 32_000
"""Where the caller does not bound its answer, which this API demands: what every model since Claude 4 allows."""
_NO_ARGUMENTS: Any = {"type": "object", "properties": {}}


def write_request(request: Request, model: str, traits: Traits) -> Written:
    """``providers.translation.base.RequestWriter``."""
    losses = Losses()
    names = ToolNames(request.tools, PLAIN_128)
    own = request.dialect == "anthropic"
    request = with_marks(request)
    body: dict[str, Any] = {"model": model}
    settings = request.settings
    body["max_tokens"] = DEFAULT_MAX_TOKENS if settings.max_tokens is None else settings.max_tokens
    system, turns = system_of(request.turns)
    if system:
        body["system"] = system
    body["messages"] = messages_of(turns, names, losses, own=own)
    if tools := _tools(request, names, own=own):
        body["tools"] = tools
    _choice(body, request, names, losses)
    writes_thinking(body, request, model, losses)
    _sampling(body, request, model, losses)
    _settings(body, settings, losses, own=own)
    if request.stream:
        body["stream"] = True
    if own:
        _restore(body, request)
    else:
        lose_carried(request, losses)
        lose_hosted(request, losses)
    return Written(msgspec.json.encode(body), names, losses)


def _tools(request: Request, names: ToolNames, *, own: bool) -> list[Any]:
    tools = request.tools if own else offered(request)
    written: list[Any] = [_tool(function_of(tool), names, own=own) for tool in tools]
    if own:
        written += [hosted.tool for hosted in request.hosted]
    return written


def _tool(tool: Tool, names: ToolNames, *, own: bool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": names.given(tool.name, tool.namespace)}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = tool.schema or _NO_ARGUMENTS
    if tool.strict is not None and own:
        written["strict"] = tool.strict
    if tool.deferred and own:
        written["defer_loading"] = True
    if tool.cache is not None:
        written["cache_control"] = cache_control(tool.cache)
    return written


def _choice(body: dict[str, Any], request: Request, names: ToolNames, losses: Losses) -> None:
    choice, parallel = request.choice, request.settings.parallel_calls
    if "tools" not in body:
        if choice is not None and choice.mode in ("required", "named"):
            losses.demand("tool_choice")
        return
    written: dict[str, Any] = {}
    if choice is not None:
        kinds = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
        written["type"] = kinds[choice.mode]
        if choice.mode == "named":
            written["name"] = names.given(choice.name, choice.namespace)
    if parallel is not None and written.get("type") != "none":
        written.setdefault("type", "auto")
        written["disable_parallel_tool_use"] = not parallel
    if written:
        body["tool_choice"] = written


def _sampling(body: dict[str, Any], request: Request, model: str, losses: Losses) -> None:
    settings = request.settings
    sampling: dict[str, float | None] = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
    }
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    if takes_one_sampler(model) and not thinks and request.dialect != "anthropic":
        keep_one(sampling, request.dialect, losses)
    for name, value in sampling.items():
        if value is None:
            continue
        if thinks and name != "top_p":
            losses.hint(name)  # while it thinks, the vendor fixes these
        elif not takes_sampling(model):
            lose_sampling(name, value, request.dialect, losses)
        else:
            body[name] = min(value, 1) if name == "temperature" else value
            if body[name] != value:
                losses.hint("temperature above 1")


def _settings(body: dict[str, Any], settings: Settings, losses: Losses, *, own: bool) -> None:
    if settings.stop:
        body["stop_sequences"] = list(settings.stop)
    if settings.user:
        body["metadata"] = {"user_id": settings.user}
    if settings.output is not None:
        if settings.output.schema is None:
            losses.demand("response_format")
        else:
            schema = settings.output.schema if own else closed_schema(settings.output.schema, losses)
            wanted = {"type": "json_schema", "schema": schema}
            body.setdefault("output_config", {})["format"] = wanted
    for name, value in (
        ("seed", settings.seed),
        ("presence_penalty", settings.presence_penalty),
        ("frequency_penalty", settings.frequency_penalty),
    ):
        if value is not None and (value != 0 or name == "seed"):
            losses.demand(name)


def _restore(body: dict[str, Any], request: Request) -> None:
    """What only this API knows, back in its place."""
    for name, value in request.carried.items():
        if name == BILLED:
            said = body.get("system", [])
            blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
            body["system"] = [{"type": "text", "text": value}, *blocks]
        elif name.startswith("output_config."):
            body.setdefault("output_config", {})[name.partition(".")[2]] = value
        elif name == "metadata" and "metadata" in body:
            body["metadata"] = {**value, **body["metadata"]}
        elif "." not in name and name != "citations":
            body[name] = value
