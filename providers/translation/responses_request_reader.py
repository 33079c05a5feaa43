"""A request in OpenAI's responses, read (https://platform.openai.com/docs/api-reference/responses/create).

The vendor may keep responses, and a later request may name one. The gate keeps none: a request that is translated for
another provider must hold its whole conversation, and what leans on a stored one is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from policies.strict_json import StrictObject
from providers.canonical.request import Effort, OutputFormat, Request, Settings, Thinking
from providers.translation.base import bad, decoded_fields
from providers.translation.checks import flag, number, whole
from providers.translation.responses_content import Labels, optional_text, text_field
from providers.translation.responses_items import Conversation, read_input
from providers.translation.responses_tools import Offer

_READ = frozenset(
    {
        "background",
        "input",
        "instructions",
        "max_output_tokens",
        "model",
        "parallel_tool_calls",
        "reasoning",
        "stream",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_p",
        "user",
    }
)
_STORED: Mapping[str, str] = {
    "previous_response_id": "keeps no responses; send the whole input",
    "conversation": "keeps no conversations; send the whole input",
    "prompt": "keeps no prompts; send its text as instructions",
}
_EFFORTS: Mapping[str, Effort] = {word: word for word in get_args(Effort)}


def read_request(body: StrictObject, model: str, *, stream: bool) -> Request:
    """``providers.translation.base.RequestReader``."""
    fields = decoded_fields(body)
    _refuse_stored(fields)
    labels: Labels = {name: value for name, value in fields.items() if name not in _READ}
    conversation = Conversation(labels)
    instructions = fields.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise bad("instructions", "must be a string")
    conversation.instruct(instructions or "")
    read_input(fields.get("input"), conversation)
    offer = Offer(labels)
    offer.read(fields.get("tools"), "tools")
    for where, tools in conversation.more_tools:
        offer.read(tools, where, again=True)
    choice = offer.choose(fields.get("tool_choice"))
    return Request(
        dialect="openai_responses",
        model=model,
        stream=stream,
        turns=conversation.finish(),
        tools=tuple(offer.tools),
        hosted=tuple(offer.hosted),
        choice=choice,
        settings=_settings(fields, labels),
        carried=labels,
    )


def _refuse_stored(fields: Mapping[str, Any]) -> None:
    for name, why in _STORED.items():
        if name in fields:
            raise bad(name, f"the provider of this model {why}")
    if flag(fields.get("background"), "background"):
        raise bad("background", "the provider of this model keeps no responses to ask for later; leave it out")


def _settings(fields: Mapping[str, Any], labels: Labels) -> Settings:
    return Settings(
        max_tokens=whole(fields.get("max_output_tokens"), "max_output_tokens", least=1),
        temperature=number(fields.get("temperature"), "temperature", 0, 2),
        top_p=number(fields.get("top_p"), "top_p", 0, 1),
        user=optional_text(fields, "user", "") or None,
        parallel_calls=flag(fields.get("parallel_tool_calls"), "parallel_tool_calls"),
        thinking=_thinking(_object(fields, "reasoning"), labels),
        output=_output(_object(fields, "text"), labels),
    )


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad(name, "must be an object")
    return value


def _thinking(reasoning: Mapping[str, Any], labels: Labels) -> Thinking | None:
    """``summary`` says how much is to be seen: that it is asked for is canonical, how much is carried."""
    word = optional_text(reasoning, "effort", "reasoning")
    effort = _EFFORTS.get(word)
    if word and effort is None:
        raise bad("reasoning.effort", f"{word!r} is not one of {', '.join(_EFFORTS)}")
    summary = optional_text(reasoning, "summary", "reasoning") or optional_text(
        reasoning, "generate_summary", "reasoning"
    )
    if summary:
        labels["reasoning.summary"] = summary
    for name, value in reasoning.items():
        if name not in ("effort", "summary", "generate_summary") and value is not None:
            labels[f"reasoning.{name}"] = value
    return Thinking(effort, show=True if summary else None) if effort or summary else None


def _output(text: Mapping[str, Any], labels: Labels) -> OutputFormat | None:
    for name, value in text.items():
        if name != "format" and value is not None:
            labels[f"text.{name}"] = value
    form = text.get("format")
    if form is None:
        return None
    if not isinstance(form, dict):
        raise bad("text.format", "must be an object")
    kind = text_field(form, "type", "text.format")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    if kind != "json_schema":
        raise bad("text.format.type", f"{kind!r} is not one of text, json_object, json_schema")
    schema = form.get("schema")
    if not isinstance(schema, dict):
        raise bad("text.format.schema", "must be an object")
    return OutputFormat(
        schema,
        text_field(form, "name", "text.format"),
        flag(form.get("strict"), "text.format.strict"),
        optional_text(form, "description", "text.format"),
    )
