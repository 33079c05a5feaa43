"""Writes a request for Bedrock's Converse and ConverseStream
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, …_ConverseStream.html).

The model and whether it is a stream stand in the path, which is the caller's. What only Claude has goes in
``additionalModelRequestFields``
(https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from providers.canonical.losses import Losses
from providers.canonical.names import PLAIN_64, ToolNames
from providers.canonical.request import Request, Settings, Tool
from providers.translation.anthropic_families import takes_one_sampler, takes_sampling, writes_thinking
from providers.translation.anthropic_schema import closed_schema
from providers.translation.base import Traits, Written
from providers.translation.carried import lose_carried
from providers.translation.converse_models import Block, Target, family_of
from providers.translation.converse_turns import Conversation, system_of
from providers.translation.custom_tools import function_of
from providers.translation.prompt_cache import with_marks
from providers.translation.sampling import keep_one, lose_sampling
from providers.translation.tool_offers import lose_hosted, lose_single_call, offered

_NO_ARGUMENTS: Any = {"type": "object", "properties": {}}
_NOT_OFFERED = "No longer available: do not call it."
_UNBOUNDED = 1 << 30
_STOP_SEQUENCE = ["/stop_sequence"]


def write_request(request: Request, model: str, traits: Traits) -> Written:
    """``providers.translation.base.RequestWriter``."""
    losses = Losses()
    request = with_marks(request)
    names = ToolNames(request.tools, PLAIN_64)
    target = Target(model, family_of(model), names, losses)
    system, turns = system_of(request.turns, target)
    conversation = Conversation(target)
    for turn in turns:
        conversation.add(turn)
    body: dict[str, Any] = {"messages": conversation.messages()}
    if system:
        body["system"] = system
    if config := _tool_config(request, target, conversation.called):
        body["toolConfig"] = config
    own: dict[str, Any] = {}
    _thinking(body, own, request, target)
    _inference(body, own, request, target)
    if own:
        body["additionalModelRequestFields"] = own
    _format(body, request.settings, losses)
    if request.dialect == "converse":
        _restore(body, request)
    else:
        lose_carried(request, losses)
        lose_hosted(request, losses)
    return Written(msgspec.json.encode(body), names, losses)


def _tool_config(request: Request, target: Target, called: Collection[str]) -> dict[str, Any]:
    """``toolConfig``. It must be there, too, where no tool is offered but the conversation has called some."""
    forbidden = request.choice is not None and request.choice.mode == "none"
    tools = _tools(request, target)
    if forbidden and tools:
        # Without tools none can be called; those that were called have to stay.
        if called:
            target.losses.demand("tool_choice")
        else:
            tools = []
    config: dict[str, Any] = {}
    if tools := tools or [_gone(name) for name in called]:
        config["tools"] = tools
    wanted = _choice(request, target)
    if wanted and tools:
        config["toolChoice"] = wanted
    if request.tools and not forbidden:
        lose_single_call(request, target.losses)
    return config


def _tools(request: Request, target: Target) -> list[Block]:
    tools: list[Block] = []
    for tool in offered(request):
        tools.append(_tool(function_of(tool), target))
        tools += target.cache_point(tool.cache, in_tools=True)
    if request.dialect == "converse":
        tools += [hosted.tool for hosted in request.hosted]
    return tools


def _tool(tool: Tool, target: Target) -> Block:
    written: dict[str, Any] = {"name": target.names.given(tool.name, tool.namespace)}
    if tool.description:
        written["description"] = tool.description
    written["inputSchema"] = {"json": tool.schema or _NO_ARGUMENTS}
    if tool.strict:
        # What a schema may say differs by vendor, and with it the promise.
        target.losses.hint("tools.strict")
    return {"toolSpec": written}


def _gone(name: str) -> Block:
    return {"toolSpec": {"name": name, "description": _NOT_OFFERED, "inputSchema": {"json": _NO_ARGUMENTS}}}


def _choice(request: Request, target: Target) -> Block | None:
    """``auto`` is left out: it is what happens anyhow, and some models take no choice at all."""
    choice = request.choice
    if choice is None or choice.mode in ("auto", "none"):
        return None
    if choice.mode == "required" and request.tools:
        return {"any": {}}
    if any(tool.name == choice.name and tool.namespace == choice.namespace for tool in request.tools):
        return {"tool": {"name": target.names.given(choice.name, choice.namespace)}}
    target.losses.demand("tool_choice")
    return None


def _thinking(body: dict[str, Any], own: dict[str, Any], request: Request, target: Target) -> None:
    wanted = request.settings.thinking
    if wanted is None:
        return
    if target.family != "claude":
        if wanted.effort != "none" and wanted.budget != 0:
            target.losses.hint("thinking")
        return
    asked: dict[str, Any] = {"max_tokens": request.settings.max_tokens or _UNBOUNDED}
    if "toolChoice" in body.get("toolConfig", ()):
        asked["tool_choice"] = {"type": "tool"}
    writes_thinking(asked, request, target.model, target.losses)
    if "thinking" in asked:
        own["thinking"] = asked["thinking"]
    if "output_config" in asked:
        body["outputConfig"] = {"effort": asked["output_config"]["effort"]}


def _inference(body: dict[str, Any], own: dict[str, Any], request: Request, target: Target) -> None:
    """``inferenceConfig``, and what of it only Claude has."""
    settings = request.settings
    config: dict[str, Any] = {}
    if settings.max_tokens is not None:
        config["maxTokens"] = settings.max_tokens
    told = _sampling(request, own, target)
    if "temperature" in told:
        config["temperature"] = min(told["temperature"], 1)
        if told["temperature"] > 1:
            target.losses.hint("temperature above 1")
    if "top_p" in told:
        config["topP"] = told["top_p"]
    if "top_k" in told:
        own["top_k"] = told["top_k"]
    _stops(body, config, settings.stop, target)
    if config:
        body["inferenceConfig"] = config
    if settings.user:
        target.losses.hint("user")
    for name, value in (
        ("seed", settings.seed),
        ("presence_penalty", settings.presence_penalty),
        ("frequency_penalty", settings.frequency_penalty),
    ):
        if value is not None and (value != 0 or name == "seed"):
            target.losses.demand(name)


def _sampling(request: Request, own: dict[str, Any], target: Target) -> dict[str, float]:
    """Temperature, top_p and top_k as far as the model may be told."""
    settings = request.settings
    wanted: dict[str, float | None] = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
    }
    claude = target.family == "claude"
    thinks = own.get("thinking", {}).get("type") in ("enabled", "adaptive")
    if claude and takes_one_sampler(target.model) and not thinks and request.dialect != "converse":
        keep_one(wanted, request.dialect, target.losses)
    told: dict[str, float] = {}
    for name, value in wanted.items():
        if value is None:
            continue
        if thinks and name != "top_p":
            target.losses.hint(name)  # while it thinks, the vendor fixes these
        elif (claude and not takes_sampling(target.model)) or (name == "top_k" and not claude):
            lose_sampling(name, value, request.dialect, target.losses)
        else:
            told[name] = value
    return told


def _stops(body: dict[str, Any], config: dict[str, Any], stop: tuple[str, ...], target: Target) -> None:
    kept = [text for text in stop if text and not (target.family == "claude" and text.isspace())]
    if len(kept) < len(stop):
        target.losses.demand("stop")
    if kept:
        config["stopSequences"] = kept
        if target.family == "claude":
            body["additionalModelResponseFieldPaths"] = _STOP_SEQUENCE


def _format(body: dict[str, Any], settings: Settings, losses: Losses) -> None:
    """``outputConfig.textFormat``: the schema is a string in it."""
    wanted = settings.output
    if wanted is None:
        return
    if wanted.schema is None:
        losses.demand("response_format")
        return
    schema = {"schema": msgspec.json.encode(closed_schema(wanted.schema, losses)).decode()}
    if wanted.name:
        schema["name"] = wanted.name
    if wanted.description:
        schema["description"] = wanted.description
    form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    body["outputConfig"] = {**body.get("outputConfig", {}), "textFormat": form}


def _restore(body: dict[str, Any], request: Request) -> None:
    """What only this API knows, back in its place."""
    for name, value in request.carried.items():
        known = body.get(name)
        body[name] = {**value, **known} if isinstance(known, dict) and isinstance(value, dict) else value
