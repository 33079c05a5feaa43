"""Reads a request of Gemini's generateContent (https://ai.google.dev/api/generate-content#request-body).

The model stands in the path. What only Gemini knows is carried under its path (``generationConfig.speechConfig``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.strict_json import StrictObject
from providers.canonical.request import (
    Effort,
    Hosted,
    OutputFormat,
    Request,
    Settings,
    Thinking,
    Tool,
    ToolChoice,
)
from providers.translation.base import bad, decoded_fields
from providers.translation.checks import an_object, flag, listed, number, text, whole
from providers.translation.gemini_contents_reader import read_contents, read_system
from providers.translation.gemini_schema import json_schema
from providers.translation.gemini_wire import camel, several

EXTRAS = "tools.functionDeclarations"
"""Under this name are carried the fields of functions that other vendors' tools have not, by function."""
MOST_STOPS = 5
_EFFORTS: Mapping[str, Effort] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_ASKS_NOTHING: Mapping[str, Any] = {"candidateCount": 1, "responseModalities": ["TEXT"]}
"""Fields that some clients always send, with the value that says nothing."""
_CALLING = "toolConfig.functionCallingConfig"


def read_request(body: StrictObject, model: str, *, stream: bool) -> Request:
    """``providers.translation.base.RequestReader``."""
    return request_of(decoded_fields(body), model, stream=stream)


def request_of(decoded: Mapping[str, Any], model: str, *, stream: bool) -> Request:
    """A request from its decoded fields. Raises ``BodyError``."""
    fields = dict(camel(decoded, "request"))
    fields.pop("model", None)  # the path says it
    system = fields.pop("systemInstruction", None)
    turns = () if system is None else read_system(system)
    turns += read_contents(fields.pop("contents", None))
    carried: dict[str, Any] = {}
    tools, hosted = _tools(fields.pop("tools", ()), carried)
    choice = _choice(fields.pop("toolConfig", None), carried)
    settings = _settings(fields.pop("generationConfig", None), carried)
    return Request(
        dialect="gemini",
        model=model,
        stream=stream,
        turns=turns,
        tools=tools,
        hosted=hosted,
        choice=choice,
        settings=settings,
        carried={**carried, **fields},
    )


def _tools(value: Any, carried: dict[str, Any]) -> tuple[tuple[Tool, ...], tuple[Hosted, ...]]:
    tools: list[Tool] = []
    hosted: list[Hosted] = []
    extras: dict[str, Any] = {}
    seen: set[str] = set()
    for n, entry in enumerate(several(value, "tools")):
        for kind, content in camel(an_object(entry, f"tools[{n}]"), f"tools[{n}]").items():
            if kind != "functionDeclarations":
                hosted.append(Hosted("gemini", kind, {kind: content}))
                continue
            at = f"tools[{n}].functionDeclarations"
            for m, raw in enumerate(several(content, at)):
                tool = _tool(camel(an_object(raw, f"{at}[{m}]"), f"{at}[{m}]"), f"{at}[{m}]", extras)
                if tool.name in seen:
                    raise bad(f"{at}[{m}].name", f"Duplicate function declaration found: {tool.name}")
                seen.add(tool.name)
                tools.append(tool)
    if extras:
        carried[EXTRAS] = extras
    return tuple(tools), tuple(hosted)


def _tool(fields: Mapping[str, Any], at: str, extras: dict[str, Any]) -> Tool:
    name = text(fields.get("name"), f"{at}.name")
    if "parameters" in fields and "parametersJsonSchema" in fields:
        raise bad(f"{at}.parameters", "is mutually exclusive with parametersJsonSchema")
    schema = fields.get("parametersJsonSchema")
    if schema is None and "parameters" in fields:
        schema = json_schema(an_object(fields["parameters"], f"{at}.parameters"))
    known = ("name", "description", "parameters", "parametersJsonSchema")
    extra = {field: value for field, value in fields.items() if field not in known}
    if extra:
        extras[name] = extra
    return Tool(name, text(fields.get("description", ""), f"{at}.description", empty=True), schema)


def _choice(value: Any, carried: dict[str, Any]) -> ToolChoice | None:
    if value is None:
        return None
    config = dict(camel(an_object(value, "toolConfig"), "toolConfig"))
    calling = config.pop("functionCallingConfig", None)
    carried.update({f"toolConfig.{name}": entry for name, entry in config.items()})
    if calling is None:
        return None
    calling = dict(camel(an_object(calling, _CALLING), _CALLING))
    mode = text(calling.pop("mode", "MODE_UNSPECIFIED"), f"{_CALLING}.mode").upper()
    allowed = [text(name, f"{_CALLING}.allowedFunctionNames") for name in _names(calling)]
    carried.update({f"{_CALLING}.{name}": entry for name, entry in calling.items()})
    if mode == "ANY" and len(allowed) == 1:
        return ToolChoice("named", allowed[0])
    if allowed:
        carried[f"{_CALLING}.allowedFunctionNames"] = allowed
    if mode == "VALIDATED":
        carried[f"{_CALLING}.mode"] = mode
        return ToolChoice("auto")
    if mode in ("AUTO", "MODE_UNSPECIFIED"):
        return ToolChoice("auto") if mode == "AUTO" else None
    if mode == "NONE":
        return ToolChoice("none")
    if mode != "ANY":
        raise bad(f"{_CALLING}.mode", f"Invalid value {mode!r}: allowed are AUTO, ANY, NONE, VALIDATED")
    return ToolChoice("required")


def _names(calling: dict[str, Any]) -> Any:
    return listed(calling.pop("allowedFunctionNames", ()), f"{_CALLING}.allowedFunctionNames")


def _settings(value: Any, carried: dict[str, Any]) -> Settings:
    at = "generationConfig"
    config = {} if value is None else dict(camel(an_object(value, at), at))
    thinking = config.pop("thinkingConfig", None)
    for name, nothing in _ASKS_NOTHING.items():
        if config.get(name) == nothing:
            del config[name]
    output = _output(config)
    stop = listed(config.pop("stopSequences", ()), f"{at}.stopSequences")
    if len(stop) > MOST_STOPS:
        raise bad(f"{at}.stopSequences", f"at most {MOST_STOPS} stop sequences")
    settings = Settings(
        max_tokens=whole(config.pop("maxOutputTokens", None), f"{at}.maxOutputTokens", least=1),
        temperature=number(config.pop("temperature", None), f"{at}.temperature", 0, 2),
        top_p=number(config.pop("topP", None), f"{at}.topP", 0, 1),
        top_k=whole(config.pop("topK", None), f"{at}.topK", least=1),
        stop=tuple(text(entry, f"{at}.stopSequences[{n}]") for n, entry in enumerate(stop)),
        seed=whole(config.pop("seed", None), f"{at}.seed", least=-(2**31), most=2**31 - 1),
        presence_penalty=number(config.pop("presencePenalty", None), f"{at}.presencePenalty", -2, 2),
        frequency_penalty=number(config.pop("frequencyPenalty", None), f"{at}.frequencyPenalty", -2, 2),
        thinking=None if thinking is None else _thinking(thinking, f"{at}.thinkingConfig"),
        output=output,
    )
    carried.update({f"{at}.{name}": entry for name, entry in config.items()})
    return settings


def _output(config: dict[str, Any]) -> OutputFormat | None:
    """The wanted format, taken out of ``config``; other MIME types than JSON's stay there."""
    at = "generationConfig"
    mime = text(config.get("responseMimeType", "text/plain"), f"{at}.responseMimeType")
    if mime not in ("text/plain", "application/json"):
        return None
    config.pop("responseMimeType", None)
    names = [name for name in ("responseSchema", "responseJsonSchema", "_responseJsonSchema") if name in config]
    if len(names) > 1:
        raise bad(f"{at}.{names[1]}", f"is mutually exclusive with {names[0]}")
    if not names:
        return OutputFormat() if mime == "application/json" else None
    schema = config.pop(names[0])
    if names[0] == "responseSchema":
        schema = json_schema(an_object(schema, f"{at}.responseSchema"))
    return OutputFormat(schema)


def _thinking(value: Any, at: str) -> Thinking:
    config = camel(an_object(value, at), at)
    for name in config:
        if name not in ("thinkingBudget", "thinkingLevel", "includeThoughts"):
            raise bad(f"{at}.{name}", "Unknown name: Cannot find field.")
    budget = whole(config.get("thinkingBudget"), f"{at}.thinkingBudget", least=-1)
    level = text(config.get("thinkingLevel", "THINKING_LEVEL_UNSPECIFIED"), f"{at}.thinkingLevel").upper()
    effort = _EFFORTS.get(level)
    if effort is None and level != "THINKING_LEVEL_UNSPECIFIED":
        raise bad(f"{at}.thinkingLevel", f"Invalid value {level!r}: allowed are {', '.join(_EFFORTS)}")
    if effort is not None and budget is not None:
        raise bad(f"{at}.thinkingLevel", "You can only set only one of thinking budget and thinking level.")
    if budget == 0:
        effort = "none"
    return Thinking(effort, budget, flag(config.get("includeThoughts"), f"{at}.includeThoughts"))
