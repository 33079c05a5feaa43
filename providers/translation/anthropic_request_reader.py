"""Reads a request of Anthropic's messages API (https://docs.anthropic.com/en/api/messages).

Errors name the field by its path, as that API does. Blocks and tools that only Anthropic knows are kept whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policies.strict_json import StrictObject
from providers.canonical.parts import Text, Turn
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
from providers.dialects.anthropic import BILLING
from providers.translation.anthropic_blocks import block_of, cache_of, texts_of
from providers.translation.base import bad, decoded_fields
from providers.translation.call_book import CallBook
from providers.translation.checks import an_object, flag, listed, number, text, whole

MOST_MESSAGES = 100_000
BILLED = "system.x-anthropic-billing-header"
_LONGEST_USER = 64
"""A longer ``metadata.user_id`` is not an id but a record (Claude Code's names device and account): it stays with
Anthropic."""
_EFFORTS: Mapping[str, Effort] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_TOOL_EXTRAS = ("input_examples", "allowed_callers", "eager_input_streaming")


def read_request(body: StrictObject, model: str, *, stream: bool) -> Request:
    """``providers.translation.base.RequestReader``."""
    return _request(decoded_fields(body), model, stream=stream)


def read_count(body: StrictObject, model: str) -> Request:
    """A request to count tokens, which need not bound an answer. Raises ``BodyError``."""
    return _request({"max_tokens": 1, **decoded_fields(body)}, model, stream=False)


def _request(fields: dict[str, Any], model: str, *, stream: bool) -> Request:
    fields.pop("model", None)
    fields.pop("stream", None)
    carried: dict[str, Any] = {}
    turns = _turns(fields, carried)
    tools, hosted = _tools(fields.pop("tools", ()), carried)
    choice, parallel = _choice(fields.pop("tool_choice", None))
    settings = _settings(fields, parallel, carried)
    return Request(
        dialect="anthropic",
        model=model,
        stream=stream,
        turns=turns,
        tools=tools,
        hosted=hosted,
        choice=choice,
        settings=settings,
        carried={**carried, **fields},
    )


def _turns(fields: dict[str, Any], carried: dict[str, Any]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    system = fields.pop("system", None)
    if system is not None and (parts := _instructions(texts_of(system, "system", carried), carried)):
        turns.append(Turn("system", parts))
    messages = listed(fields.pop("messages", None), "messages")
    if not messages:
        raise bad("messages", "at least one message is required")
    if len(messages) > MOST_MESSAGES:
        raise bad("messages", f"at most {MOST_MESSAGES} messages")
    book = CallBook()
    for at, message in enumerate(messages):
        turns.append(_turn(an_object(message, f"messages.{at}"), f"messages.{at}", book, carried))
    return tuple(turns)


def _instructions(parts: tuple[Text, ...], carried: dict[str, Any]) -> tuple[Text, ...]:
    """The system prompt without what is said to the vendor's bill: elsewhere its digest at the very beginning would
    only spoil the vendor's cache of prompts."""
    if not parts or BILLING.fullmatch(parts[0].text) is None:
        return parts
    carried[BILLED] = parts[0].text
    return parts[1:]


def _turn(message: Mapping[str, Any], at: str, book: CallBook, carried: dict[str, Any]) -> Turn:
    role = message.get("role")
    content = message.get("content")
    if role == "system":
        return Turn("system", texts_of(content, f"{at}.content", carried))
    if role not in ("user", "assistant"):
        raise bad(f"{at}.role", f"unexpected role {role!r}: allowed are 'user', 'assistant' and 'system'")
    if isinstance(content, str):
        return Turn(role, texts_of(content, at, carried))
    blocks = listed(content, f"{at}.content")
    return Turn(role, tuple(block_of(b, f"{at}.content.{n}", role, book, carried) for n, b in enumerate(blocks)))


def _tools(value: Any, carried: dict[str, Any]) -> tuple[tuple[Tool, ...], tuple[Hosted, ...]]:
    tools: list[Tool] = []
    hosted: list[Hosted] = []
    seen: set[str] = set()
    for n, entry in enumerate(listed(value, "tools")):
        at = f"tools.{n}"
        tool = an_object(entry, at)
        kind = tool.get("type")
        if kind not in (None, "custom"):
            hosted.append(Hosted("anthropic", text(kind, f"{at}.type"), tool))
            continue
        name = text(tool.get("name"), f"{at}.name")
        if name in seen:
            raise bad(f"{at}.name", "tool names must be unique")
        seen.add(name)
        for extra in _TOOL_EXTRAS:
            if tool.get(extra) is not None:
                carried[f"tools.{extra}"] = True
        tools.append(
            Tool(
                name=name,
                description=text(tool.get("description", ""), f"{at}.description", empty=True),
                schema=an_object(tool.get("input_schema"), f"{at}.input_schema"),
                strict=flag(tool.get("strict"), f"{at}.strict"),
                deferred=flag(tool.get("defer_loading"), f"{at}.defer_loading") or False,
                cache=cache_of(tool, at),
            )
        )
    return tuple(tools), tuple(hosted)


_MODES: Mapping[str, Callable[[Mapping[str, Any]], ToolChoice]] = {
    "auto": lambda _: ToolChoice("auto"),
    "any": lambda _: ToolChoice("required"),
    "none": lambda _: ToolChoice("none"),
    "tool": lambda choice: ToolChoice("named", text(choice.get("name"), "tool_choice.name")),
}


def _choice(value: Any) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether several calls at once are allowed."""
    if value is None:
        return None, None
    choice = an_object(value, "tool_choice")
    kind = choice.get("type")
    if not isinstance(kind, str) or kind not in _MODES:
        raise bad("tool_choice.type", f"{kind!r} is none of 'auto', 'any', 'tool', 'none'")
    single = flag(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    return _MODES[kind](choice), None if single is None else not single


def _settings(fields: dict[str, Any], parallel: bool | None, carried: dict[str, Any]) -> Settings:
    if "max_tokens" not in fields:
        raise bad("max_tokens", "Field required")
    config = an_object(fields.pop("output_config", {}), "output_config")
    output = config.get("format") or fields.pop("output_format", None)
    for name in config:
        if name not in ("effort", "format"):
            carried[f"output_config.{name}"] = config[name]
    stop = listed(fields.pop("stop_sequences", ()), "stop_sequences")
    return Settings(
        max_tokens=whole(fields.pop("max_tokens"), "max_tokens", least=0),
        temperature=number(fields.pop("temperature", None), "temperature", 0, 1),
        top_p=number(fields.pop("top_p", None), "top_p", 0, 1),
        top_k=whole(fields.pop("top_k", None), "top_k", least=0),
        stop=tuple(text(entry, f"stop_sequences.{n}") for n, entry in enumerate(stop)),
        user=_user(fields, carried),
        parallel_calls=parallel,
        thinking=_thinking(fields.pop("thinking", None), config.get("effort")),
        output=None if output is None else _output(an_object(output, "output_config.format")),
    )


def _user(fields: dict[str, Any], carried: dict[str, Any]) -> str | None:
    metadata = an_object(fields.pop("metadata", {}), "metadata")
    user = metadata.get("user_id")
    if user is not None and len(text(user, "metadata.user_id", empty=True)) <= _LONGEST_USER:
        metadata = {name: value for name, value in metadata.items() if name != "user_id"}
    else:
        user = None
    if metadata:
        carried["metadata"] = metadata
    return user


def _thinking(value: Any, effort: Any) -> Thinking | None:
    """Adaptive thinking is a budget of ``-1``; an effort alone says nothing of thinking."""
    if effort is not None and effort not in _EFFORTS:
        raise bad("output_config.effort", f"{effort!r} is none of {', '.join(map(repr, _EFFORTS))}")
    wanted = None if effort is None else _EFFORTS[effort]
    if value is None:
        return None if wanted is None else Thinking(effort=wanted)
    thinking = an_object(value, "thinking")
    shown = thinking.get("display")
    show = None if shown is None else shown != "omitted"
    kind = thinking.get("type")
    if kind == "disabled":
        return Thinking(effort="none")
    if kind == "enabled":
        budget = whole(thinking.get("budget_tokens"), "thinking.budget_tokens", least=1_024)
        if budget is None:
            raise bad("thinking.budget_tokens", "Field required")
        return Thinking(wanted, budget, show)
    if kind in ("adaptive", "between_tools"):
        return Thinking(wanted, -1, show)
    raise bad("thinking.type", f"{kind!r} is none of 'enabled', 'disabled', 'adaptive', 'between_tools'")


def _output(wanted: Mapping[str, Any]) -> OutputFormat:
    if wanted.get("type") != "json_schema":
        raise bad("output_config.format.type", f"{wanted.get('type')!r} is not 'json_schema'")
    return OutputFormat(schema=an_object(wanted.get("schema"), "output_config.format.schema"))
