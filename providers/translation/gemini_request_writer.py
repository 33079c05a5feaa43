"""Writes a request for Gemini's generateContent, in Google AI Studio and on Vertex AI
(https://ai.google.dev/api/generate-content#request-body,
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference).

Schemas go as they came, in ``parametersJsonSchema`` and ``responseJsonSchema``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from providers.canonical.losses import Losses
from providers.canonical.names import ToolNames
from providers.canonical.request import Request, Tool
from providers.translation.base import Traits, Written
from providers.translation.carried import lose_carried
from providers.translation.custom_tools import function_of
from providers.translation.gemini_contents_writer import ContentsWriter, system_of
from providers.translation.gemini_request_reader import EXTRAS, MOST_STOPS
from providers.translation.gemini_thinking import own_config, thinking_config
from providers.translation.gemini_wire import TOOL_NAMES, version
from providers.translation.tool_offers import lose_hosted, lose_single_call, offered

MOST_OUTPUT = 65_535
"""Tokens that Gemini 2.5 and 3 can say, as Vertex AI counts; before them it was a fraction of that."""
MOST_OUTPUT_BEFORE = 8_192
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


def write_request(request: Request, model: str, traits: Traits) -> Written:
    """``providers.translation.base.RequestWriter``."""
    losses = Losses()
    names = ToolNames(request.tools, TOOL_NAMES)
    own = request.dialect == "gemini"
    modern = (version(model) or (0, 0)) >= (3, 0)
    body: dict[str, Any] = {}
    system, turns = system_of(request.turns, losses)
    body["contents"] = ContentsWriter(names, losses, own=own, modern=modern).contents(turns)
    if system is not None:
        body["systemInstruction"] = system
    if declarations := _declarations(request, names, losses, own=own):
        body["tools"] = [{"functionDeclarations": declarations}]
    _choice(body, request, names, losses)
    config = _config(request, model, losses)
    _output(config, request, losses, free=own or modern or not declarations)
    if config:
        body["generationConfig"] = config
    if own:
        _restore(body, request)
    else:
        lose_carried(request, losses)
        lose_hosted(request, losses)
    return Written(msgspec.json.encode(body), names, losses)


def _declarations(request: Request, names: ToolNames, losses: Losses, *, own: bool) -> list[dict[str, Any]]:
    return [
        _declaration(function_of(tool), names, losses, own=own) for tool in (request.tools if own else offered(request))
    ]


def _declaration(tool: Tool, names: ToolNames, losses: Losses, *, own: bool) -> dict[str, Any]:
    if tool.cache is not None:
        losses.hint("cache_control")
    if tool.strict:
        losses.hint("strict")
    written: dict[str, Any] = {"name": names.given(tool.name, tool.namespace)}
    if tool.description:
        written["description"] = tool.description
    if tool.schema or (own and tool.schema is not None):
        written["parametersJsonSchema"] = tool.schema
    return written


def _choice(body: dict[str, Any], request: Request, names: ToolNames, losses: Losses) -> None:
    lose_single_call(request, losses)
    choice = request.choice
    if choice is None:
        return
    own = request.dialect == "gemini"
    calling: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        name = names.given(choice.name, choice.namespace)
        if not own and not any(names.given(tool.name, tool.namespace) == name for tool in request.tools):
            losses.demand("tool_choice")
            return
        calling["allowedFunctionNames"] = [name]
    if own or "tools" in body:
        body["toolConfig"] = {"functionCallingConfig": calling}
    elif choice.mode == "required":
        losses.demand("tool_choice")


def _config(request: Request, model: str, losses: Losses) -> dict[str, Any]:
    settings = request.settings
    if settings.user is not None:
        losses.hint("user")
    stop = list(settings.stop[:MOST_STOPS])
    if len(stop) < len(settings.stop):
        losses.demand("stop")
    config = {
        "maxOutputTokens": _bound(request, model),
        "temperature": settings.temperature,
        "topP": settings.top_p,
        "topK": settings.top_k,
        "stopSequences": stop or None,
        "seed": settings.seed,
        "presencePenalty": settings.presence_penalty,
        "frequencyPenalty": settings.frequency_penalty,
    }
    found: dict[str, Any] = {name: value for name, value in config.items() if value is not None}
    if settings.thinking is not None:
        own = request.dialect == "gemini"
        thinking = own_config(settings.thinking) if own else thinking_config(settings.thinking, model, losses)
        if thinking is not None:
            found["thinkingConfig"] = thinking
    return found


def _bound(request: Request, model: str) -> int | None:
    """The caller's bound, or the model's own where that is lower: a higher one is an error there, while other vendors'
    clients ask for what theirs can say (https://ai.google.dev/gemini-api/docs/models)."""
    wanted, known = request.settings.max_tokens, version(model)
    if wanted is None or request.dialect == "gemini" or known is None or known >= (4, 0):
        return wanted
    return min(wanted, MOST_OUTPUT if known >= (2, 5) else MOST_OUTPUT_BEFORE)


def _output(config: dict[str, Any], request: Request, losses: Losses, *, free: bool) -> None:
    """``free``: the model takes a format beside functions; before Gemini 3 it takes one or the other."""
    output = request.settings.output
    if output is None:
        return
    if not free:
        losses.demand("response_format")
        return
    if output.description:
        losses.hint("response_format.description")
    config["responseMimeType"] = "application/json"
    if output.schema is not None:
        config["responseJsonSchema"] = output.schema


def _restore(body: dict[str, Any], request: Request) -> None:
    """What only this API knows, back in its place."""
    if request.hosted:
        body.setdefault("tools", []).extend(hosted.tool for hosted in request.hosted)
    for name, value in request.carried.items():
        if name == EXTRAS:
            declarations = body["tools"][0]["functionDeclarations"]
            body["tools"][0]["functionDeclarations"] = [
                {**tool, **value.get(tool["name"], {})} for tool in declarations
            ]
            continue
        inner = body
        *path, last = name.split(".")
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = value
