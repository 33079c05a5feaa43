"""OpenAI's custom tools, whose input is free text, for vendors whose tools take JSON: one property holds the text."""

from __future__ import annotations

from typing import Any

import msgspec

from providers.canonical.parts import ToolCall
from providers.canonical.request import Tool

FIELD = "input"
_FORMAT = "The input is one string of free text in `input`."


class _Input(msgspec.Struct):
    input: str


_decode = msgspec.json.Decoder(_Input).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def function_of(tool: Tool) -> Tool:
    """``tool`` as a function; one that is no custom tool stays as it is."""
    if not tool.custom:
        return tool
    said = [part for part in (tool.description, _FORMAT, _grammar(tool.schema)) if part]
    schema = {"type": "object", "properties": {FIELD: {"type": "string"}}, "required": [FIELD]}
    return msgspec.structs.replace(tool, description="\n\n".join(said), schema=schema, custom=False)


def _grammar(form: Any) -> str:
    """The grammar that the input must follow, for the model to read: no other vendor enforces one."""
    if not isinstance(form, dict):
        return ""
    inner = form.get("grammar")
    grammar = inner if isinstance(inner, dict) else form
    definition = grammar.get("definition")
    return f"It must follow this {grammar.get('syntax', '')} grammar:\n{definition}" if definition else ""


def arguments_of(call: ToolCall) -> str:
    """The JSON arguments of a call in the history."""
    return msgspec.json.encode({FIELD: call.arguments}).decode() if call.custom else call.arguments


def object_of(call: ToolCall) -> msgspec.Raw:
    """The arguments as the JSON object that other vendors' calls must have. A model may have written something else
    (chat completions take any text there): that stands in one field, so that the conversation can go on."""
    text = arguments_of(call).encode()
    try:
        _object(text)
    except msgspec.MsgspecError:
        return msgspec.Raw(msgspec.json.encode({FIELD: call.arguments}) if call.arguments.strip() else b"{}")
    return msgspec.Raw(text)


def input_of(arguments: str) -> str:
    """The free text of a call that was made as a function; what has another shape is given as it is."""
    try:
        return _decode(arguments).input
    except msgspec.MsgspecError:
        return arguments
