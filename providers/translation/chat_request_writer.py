"""Writes a request of chat completions (https://platform.openai.com/docs/api-reference/chat/create) for any provider
that speaks it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from providers.canonical.losses import Losses
from providers.canonical.names import PLAIN_64, ToolNames, fitted
from providers.canonical.parts import Text
from providers.canonical.request import OutputFormat, Request, Settings, Thinking, Tool, ToolChoice
from providers.translation.base import Traits, Written
from providers.translation.carried import lose_carried
from providers.translation.chat_content import mark_of
from providers.translation.chat_families import most_tokens
from providers.translation.chat_message_writer import MessageWriter
from providers.translation.chat_messages import EXTRAS
from providers.translation.chat_request_reader import MOST_STOPS
from providers.translation.custom_tools import function_of
from providers.translation.sampling import lose_sampling
from providers.translation.tool_offers import lose_hosted, offered

_LOW, _MEDIUM = 2_048, 8_192
"""Budgets of thinking up to which an effort is low or medium."""
_CAN_STOP_THINKING = re.compile(r"gpt-5\.\d")
"""Models that take an effort of ``none``: from GPT-5.1 on; earlier ones refuse it (https://platform.openai.com/docs/guides/reasoning)."""
_NO_ARGUMENTS = {"type": "object", "properties": {}}


def write_request(request: Request, model: str, traits: Traits) -> Written:
    """``providers.translation.base.RequestWriter``."""
    return _Writer(request, model, traits).write()


class _Writer:
    def __init__(self, request: Request, model: str, traits: Traits) -> None:
        self._request = request
        self._own = request.dialect == "openai_chat"
        self._model = model
        self._traits = traits
        self._names = ToolNames(request.tools, PLAIN_64)
        self._losses = Losses()
        self._body: dict[str, Any] = {"model": model}

    def write(self) -> Written:
        request, body = self._request, self._body
        body["messages"] = MessageWriter(request, self._traits, self._names, self._losses).write()
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        self._tools()
        self._settings(request.settings)
        self._sampling(request.settings)
        if request.settings.thinking is not None:
            self._thinking(request.settings.thinking)
        if request.settings.output is not None:
            self._output(request.settings.output)
        if self._own:
            self._carried()
        else:
            lose_carried(request, self._losses)
        return Written(msgspec.json.encode(body), self._names, self._losses)

    def _tools(self) -> None:
        request = self._request
        tools = [self._tool(tool) for tool in offered(request)]
        if self._own:
            tools += [hosted.tool for hosted in request.hosted]
        else:
            lose_hosted(request, self._losses)
        if tools:
            self._body["tools"] = tools
        if request.choice is not None:
            self._choice(request.choice, offered=bool(tools))
        if request.settings.parallel_calls is not None and (tools or self._own):
            # OpenAI refuses the field where there are no tools.
            self._body["parallel_tool_calls"] = request.settings.parallel_calls

    def _tool(self, tool: Tool) -> dict[str, Any]:
        name = self._names.given(tool.name, tool.namespace)
        if tool.custom and self._own:
            custom: dict[str, Any] = {"name": name}
            if tool.description:
                custom["description"] = tool.description
            if tool.schema is not None:
                custom["format"] = tool.schema
            written: dict[str, Any] = {"type": "custom", "custom": custom}
        else:
            written = {"type": "function", "function": self._function(function_of(tool), name)}
        if tool.cache is not None:
            if self._traits.cache_marks:
                written["cache_control"] = mark_of(tool.cache)
            else:
                self._losses.hint("cache_control")
        return written

    def _function(self, tool: Tool, name: str) -> dict[str, Any]:
        function: dict[str, Any] = {"name": name}
        if tool.description:
            function["description"] = tool.description
        if tool.schema is not None or not self._own:
            function["parameters"] = _NO_ARGUMENTS if tool.schema is None else tool.schema
        if tool.strict is not None:
            function["strict"] = tool.strict
        return function

    def _choice(self, choice: ToolChoice, *, offered: bool) -> None:
        if choice.mode != "named":
            if offered or self._own:
                self._body["tool_choice"] = choice.mode
            elif choice.mode == "required":
                self._losses.demand("tool_choice")
            return
        named = next((t for t in self._request.tools if (t.name, t.namespace) == (choice.name, choice.namespace)), None)
        if named is not None:
            kind = "custom" if named.custom and self._own else "function"
            name = self._names.given(choice.name, choice.namespace)
            self._body["tool_choice"] = {"type": kind, kind: {"name": name}}
        elif self._own and any(hosted.kind == choice.name for hosted in self._request.hosted):
            self._body["tool_choice"] = {"type": choice.name}
        else:
            self._losses.demand("tool_choice")

    def _settings(self, settings: Settings) -> None:
        body = self._body
        if settings.max_tokens is not None:
            most = None if self._own else most_tokens(self._model)
            body[self._traits.token_limit] = settings.max_tokens if most is None else min(settings.max_tokens, most)
        if settings.stop:
            body["stop"] = settings.stop[:MOST_STOPS]
            if len(settings.stop) > MOST_STOPS:
                self._losses.demand("stop")
        if settings.seed is not None:
            body["seed"] = settings.seed
        if settings.user is not None:
            body["user"] = settings.user
        if settings.top_k is not None:
            if self._own:
                body["top_k"] = settings.top_k
            else:
                lose_sampling("top_k", settings.top_k, self._request.dialect, self._losses)

    def _sampling(self, settings: Settings) -> None:
        """Models that reason refuse these (https://platform.openai.com/docs/guides/reasoning): a client of another
        dialect cannot know."""
        refused = not self._own and self._reasons()
        for name in ("temperature", "top_p"):
            if (value := getattr(settings, name)) is None:
                continue
            if refused:
                self._losses.hint(name)
            else:
                self._body[name] = value
        for name in ("presence_penalty", "frequency_penalty"):
            if (value := getattr(settings, name)) is None:
                continue
            if refused and value:
                self._losses.demand(name)
            elif not refused:
                self._body[name] = value

    def _reasons(self) -> bool:
        return self._traits.reasoning_models.allows(self._model)

    def _thinking(self, thinking: Thinking) -> None:
        effort = thinking.effort or _effort_for(thinking.budget)
        if self._own:
            if effort is not None:
                self._body["reasoning_effort"] = effort
        elif not self._reasons():
            if effort != "none":
                self._losses.hint("thinking")
        elif effort == "none" and _CAN_STOP_THINKING.search(self._model) is None:
            self._losses.hint("thinking")
        elif effort is not None:
            self._body["reasoning_effort"] = effort

    def _output(self, output: OutputFormat) -> None:
        if output.schema is None:
            self._body["response_format"] = {"type": "json_object"}
            if not self._own and not self._says_json():
                # OpenAI refuses the mode unless some message speaks of it.
                self._body["messages"].insert(0, {"role": "system", "content": "Answer with a JSON object."})
            return
        name = output.name if self._own else fitted(output.name or "answer", PLAIN_64)
        described: dict[str, Any] = {"name": name, "schema": output.schema}
        if output.description:
            described["description"] = output.description
        if output.strict is not None:
            described["strict"] = output.strict
        self._body["response_format"] = {"type": "json_schema", "json_schema": described}

    def _says_json(self) -> bool:
        return any(
            isinstance(part, Text) and "json" in part.text.lower()
            for turn in self._request.turns
            for part in turn.parts
        )

    def _carried(self) -> None:
        for name, value in self._request.carried.items():
            if name == "stream_options":
                if self._request.stream:
                    self._body[name] = {**value, "include_usage": True}
            elif name.startswith(EXTRAS):
                if "." in name.removeprefix(EXTRAS):
                    self._losses.demand(name)
            elif "." in name:
                self._losses.demand(name)
            else:
                self._body[name] = value


def _effort_for(budget: int | None) -> str | None:
    """``None``: as much as the model likes."""
    if budget is None or budget < 0:
        return None
    if budget == 0:
        return "none"
    return "low" if budget <= _LOW else "medium" if budget <= _MEDIUM else "high"
