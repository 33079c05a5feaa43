"""Reads a request of chat completions (https://platform.openai.com/docs/api-reference/chat/create).

Errors name the field by its path. ``top_k`` and ``cache_control`` are not OpenAI's, but many vendors' who speak its
dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast, get_args

from policies.strict_json import StrictObject
from providers.canonical.request import (
    ChoiceMode,
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
from providers.translation.chat_content import cache_of, note_extras
from providers.translation.chat_messages import read_turns
from providers.translation.checks import an_object, flag, listed, number, text, whole

MOST_STOPS = 4
_MOST_ANSWERS = 128
_EFFORTS = frozenset(get_args(Effort))
_ASKS_NOTHING: Mapping[str, Any] = {"n": 1, "logprobs": False, "logit_bias": {}, "modalities": ["text"]}
"""Fields that some clients always send, with the value that they have by default."""
_TOOL_KEYS = ("type", "function", "custom", "cache_control")
_FUNCTION_KEYS = ("name", "description", "parameters", "strict", "cache_control")


def read_request(body: StrictObject, model: str, *, stream: bool) -> Request:
    """``providers.translation.base.RequestReader``."""
    fields = decoded_fields(body)
    fields.pop("model", None)
    fields.pop("stream", None)
    for name in ("functions", "function_call"):
        if name in fields:
            raise bad(name, "is deprecated and not translated: use 'tools' and 'tool_choice'")
    carried: dict[str, Any] = {}
    turns = read_turns(fields.pop("messages", None), carried)
    tools, hosted = _tools(fields.pop("tools", ()), carried)
    choice = _choice(fields, tools, hosted)
    stream_usage = _stream_usage(fields)
    settings = _settings(fields)
    whole(fields.get("n"), "n", least=1, most=_MOST_ANSWERS)
    for name, nothing in _ASKS_NOTHING.items():
        if name in fields and fields[name] == nothing:
            del fields[name]
    return Request(
        dialect="openai_chat",
        model=model,
        stream=stream,
        turns=turns,
        tools=tools,
        hosted=hosted,
        choice=choice,
        settings=settings,
        stream_usage=stream_usage,
        carried={**carried, **fields},
    )


def _tools(value: Any, carried: dict[str, Any]) -> tuple[tuple[Tool, ...], tuple[Hosted, ...]]:
    tools: list[Tool] = []
    hosted: list[Hosted] = []
    for index, entry in enumerate(listed(value, "tools")):
        at = f"tools[{index}]"
        tool = an_object(entry, at)
        kind = text(tool.get("type"), f"{at}.type")
        if kind == "function":
            tools.append(_function(tool, at, carried))
        elif kind == "custom":
            tools.append(_custom(tool, at))
        else:
            hosted.append(Hosted("openai_chat", kind, tool))
            continue
        note_extras(tool, _TOOL_KEYS, "tools", carried)
    return tuple(tools), tuple(hosted)


def _function(tool: Mapping[str, Any], at: str, carried: dict[str, Any]) -> Tool:
    function = an_object(tool.get("function"), f"{at}.function")
    at = f"{at}.function"
    schema = function.get("parameters")
    note_extras(function, _FUNCTION_KEYS, "tools.function", carried)
    return Tool(
        name=text(function.get("name"), f"{at}.name"),
        description=text(function.get("description") or "", f"{at}.description", empty=True),
        schema=None if schema is None else an_object(schema, f"{at}.parameters"),
        strict=flag(function.get("strict"), f"{at}.strict"),
        cache=cache_of(tool, at) or cache_of(function, at),
    )


def _custom(tool: Mapping[str, Any], at: str) -> Tool:
    custom = an_object(tool.get("custom"), f"{at}.custom")
    form = custom.get("format")
    return Tool(
        name=text(custom.get("name"), f"{at}.custom.name"),
        description=text(custom.get("description") or "", f"{at}.custom.description", empty=True),
        schema=None if form is None else an_object(form, f"{at}.custom.format"),
        custom=True,
        cache=cache_of(tool, at),
    )


def _choice(fields: dict[str, Any], tools: Sequence[Tool], hosted: Sequence[Hosted]) -> ToolChoice | None:
    """Removed from ``fields`` if it has a place in the canonical form."""
    value = fields.get("tool_choice")
    if value is None:
        return None
    if isinstance(value, str):
        if value not in ("none", "auto", "required"):
            raise bad("tool_choice", f"Invalid value: {value!r}. Supported values are: 'none', 'auto', and 'required'.")
        del fields["tool_choice"]
        return ToolChoice(cast(ChoiceMode, value))
    kind = an_object(value, "tool_choice").get("type")
    if kind in ("function", "custom"):
        named = an_object(value.get(kind), f"tool_choice.{kind}")
        name = text(named.get("name"), f"tool_choice.{kind}.name")
        if all(tool.name != name for tool in tools):
            raise bad(f"tool_choice.{kind}.name", f"Tool choice {name!r} not found in 'tools' parameter.")
    elif isinstance(kind, str) and any(tool.kind == kind for tool in hosted):
        name = kind
    elif kind == "allowed_tools":
        return None
    else:
        supported = "'function', 'custom', 'allowed_tools'"
        raise bad("tool_choice.type", f"Invalid value: {kind!r}. Supported values are: {supported}.")
    del fields["tool_choice"]
    return ToolChoice("named", name)


def _stream_usage(fields: dict[str, Any]) -> bool:
    options = dict(an_object(fields.pop("stream_options", {}), "stream_options"))
    wanted = flag(options.pop("include_usage", None), "stream_options.include_usage") or False
    if options:
        fields["stream_options"] = options
    return wanted


def _settings(fields: dict[str, Any]) -> Settings:
    return Settings(
        max_tokens=_max_tokens(fields),
        temperature=number(fields.pop("temperature", None), "temperature", 0, 2),
        top_p=number(fields.pop("top_p", None), "top_p", 0, 1),
        top_k=_top_k(fields),
        stop=tuple(_stop(fields.pop("stop", ()))),
        seed=whole(fields.pop("seed", None), "seed", least=-(2**63), most=2**63 - 1),
        presence_penalty=number(fields.pop("presence_penalty", None), "presence_penalty", -2, 2),
        frequency_penalty=number(fields.pop("frequency_penalty", None), "frequency_penalty", -2, 2),
        user=text(fields.pop("user"), "user", empty=True) if "user" in fields else None,
        parallel_calls=flag(fields.pop("parallel_tool_calls", None), "parallel_tool_calls"),
        thinking=_thinking(fields.pop("reasoning_effort", None)),
        output=_output(fields),
    )


def _max_tokens(fields: dict[str, Any]) -> int | None:
    found = [
        value
        for name in ("max_completion_tokens", "max_tokens")
        if (value := whole(fields.pop(name, None), name, least=1)) is not None
    ]
    if len(set(found)) > 1:
        raise bad("max_tokens", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    return found[0] if found else None


def _top_k(fields: dict[str, Any]) -> int | None:
    """vLLM's ``-1`` is its default: all tokens."""
    value = whole(fields.pop("top_k", None), "top_k", least=-1)
    return None if value in (-1, 0) else value


def _stop(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
        return
    sequences = listed(value, "stop")
    if len(sequences) > MOST_STOPS:
        raise bad("stop", f"Invalid 'stop': array too long. Expected an array with maximum length {MOST_STOPS}.")
    for index, sequence in enumerate(sequences):
        yield text(sequence, f"stop[{index}]")


def _thinking(effort: Any) -> Thinking | None:
    if effort is None:
        return None
    if not isinstance(effort, str) or effort not in _EFFORTS:
        supported = ", ".join(map(repr, get_args(Effort)))
        raise bad("reasoning_effort", f"Invalid value: {effort!r}. Supported values are: {supported}.")
    return Thinking(effort=cast(Effort, effort))


def _output(fields: dict[str, Any]) -> OutputFormat | None:
    """Removed from ``fields`` if it has a place in the canonical form; vLLM and others have further types."""
    wanted = an_object(fields.get("response_format", {}), "response_format")
    kind = wanted.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        if wanted and not isinstance(kind, str):
            raise bad("response_format.type", "Supported values are: 'json_object', 'json_schema', and 'text'.")
        if not wanted:
            fields.pop("response_format", None)
        return None
    del fields["response_format"]
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    at = "response_format.json_schema"
    described = an_object(wanted.get("json_schema"), at)
    schema = described.get("schema")
    return OutputFormat(
        schema={} if schema is None else an_object(schema, f"{at}.schema"),
        name=text(described.get("name"), f"{at}.name"),
        strict=flag(described.get("strict"), f"{at}.strict"),
        description=text(described.get("description") or "", f"{at}.description", empty=True),
    )
