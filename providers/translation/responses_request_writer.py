"""Writes a request of OpenAI's responses (https://platform.openai.com/docs/api-reference/responses/create) for any
provider that speaks it.

The vendor is asked to store nothing, and to hand its sealed thoughts back where the model has any: so the client's
conversation is all that there is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from providers.canonical.losses import Losses
from providers.canonical.names import PLAIN_64, ToolNames, fitted
from providers.canonical.request import Effort, Request, Settings, Thinking, Tool
from providers.translation.base import Traits, Written
from providers.translation.carried import lose_carried
from providers.translation.custom_tools import function_of
from providers.translation.responses_answers import written_format
from providers.translation.responses_input_writer import InputWriter
from providers.translation.responses_tools import written_choice, written_tools
from providers.translation.sampling import lose_sampling
from providers.translation.tool_offers import lose_hosted, offered

_LEAST_TOKENS = 16
"""The vendor refuses a smaller bound."""
_LOW, _MEDIUM = 2_048, 8_192
"""Budgets of thinking up to which an effort is low or medium."""
_NO_ARGUMENTS = {"type": "object", "properties": {}}
_NESTED = ("reasoning", "text")


def write_request(request: Request, model: str, traits: Traits) -> Written:
    """``providers.translation.base.RequestWriter``."""
    return _Writer(request, model, traits).write()


class _Writer:
    def __init__(self, request: Request, model: str, traits: Traits) -> None:
        self._request = request
        self._own = request.dialect == "openai_responses"
        self._reasons = traits.reasoning_models.allows(model)
        self._names = ToolNames(request.tools, PLAIN_64)
        self._losses = Losses()
        self._body: dict[str, Any] = {"model": model}

    def write(self) -> Written:
        request, body = self._request, self._body
        instructions, body["input"] = InputWriter(request, self._names, self._losses).write()
        if instructions is not None:
            body["instructions"] = instructions
        if request.stream:
            body["stream"] = True
        self._tools()
        self._settings(request.settings)
        self._lose_settings(request.settings)
        if request.settings.thinking is not None:
            self._thinking(request.settings.thinking)
        if request.settings.output is not None:
            form = written_format(request)
            if "name" in form:
                form["name"] = fitted(form["name"], PLAIN_64)
            body["text"] = {"format": form}
        if self._own:
            self._carried()
        else:
            body["store"] = False
            if self._reasons:
                body["include"] = ["reasoning.encrypted_content"]
            lose_carried(request, self._losses)
        return Written(msgspec.json.encode(body), self._names, self._losses)

    def _tools(self) -> None:
        request, body = self._request, self._body
        if self._own:
            tools = [*written_tools(request), *(hosted.tool for hosted in request.hosted)]
        else:
            tools = [self._function(tool) for tool in offered(request)]
            lose_hosted(request, self._losses)
        if tools:
            body["tools"] = tools
        self._choice(offered=bool(tools))
        if request.settings.parallel_calls is not None and (tools or self._own):
            body["parallel_tool_calls"] = request.settings.parallel_calls

    def _function(self, tool: Tool) -> dict[str, Any]:
        if tool.cache is not None:
            self._losses.hint("cache_control")
        plain = function_of(tool)
        return {
            "type": "function",
            "name": self._names.given(tool.name, tool.namespace),
            **({"description": plain.description} if plain.description else {}),
            "parameters": _NO_ARGUMENTS if plain.schema is None else plain.schema,
            # Left out, it would be true here, and most schemas are not fit for that.
            "strict": plain.strict is True,
        }

    def _choice(self, *, offered: bool) -> None:
        choice = self._request.choice
        if self._own:
            if (written := written_choice(self._request)) is not None:
                self._body["tool_choice"] = written
        elif choice is None:
            return
        elif choice.mode == "named":
            if any((t.name, t.namespace) == (choice.name, choice.namespace) for t in self._request.tools):
                name = self._names.given(choice.name, choice.namespace)
                self._body["tool_choice"] = {"type": "function", "name": name}
            else:
                self._losses.demand("tool_choice")
        elif offered:
            self._body["tool_choice"] = choice.mode
        elif choice.mode == "required":
            self._losses.demand("tool_choice")

    def _settings(self, settings: Settings) -> None:
        body = self._body
        if settings.max_tokens is not None:
            body["max_output_tokens"] = settings.max_tokens if self._own else max(settings.max_tokens, _LEAST_TOKENS)
            if body["max_output_tokens"] != settings.max_tokens:
                self._losses.hint("max_tokens")
        if settings.user is not None:
            body["user"] = settings.user
        for name in ("temperature", "top_p"):
            if (value := getattr(settings, name)) is None:
                continue
            if self._reasons and not self._own:
                self._losses.hint(name)  # models that reason refuse it
            else:
                body[name] = value

    def _lose_settings(self, settings: Settings) -> None:
        if settings.top_k is not None:
            lose_sampling("top_k", settings.top_k, self._request.dialect, self._losses)
        if settings.seed is not None:
            self._losses.demand("seed")
        for name in ("stop", "presence_penalty", "frequency_penalty"):
            if getattr(settings, name):
                self._losses.demand(name)

    def _thinking(self, thinking: Thinking) -> None:
        if not self._own and not self._reasons:
            if thinking.effort != "none":
                self._losses.hint("thinking")
            return
        effort = thinking.effort or _effort_for(thinking.budget)
        reasoning: dict[str, Any] = {} if effort is None else {"effort": effort}
        if thinking.show:
            reasoning["summary"] = "auto"
        if reasoning:
            self._body["reasoning"] = reasoning

    def _carried(self) -> None:
        """Nested fields go back into their objects; labels of single items and tools are with these."""
        for name, value in self._request.carried.items():
            outer, dot, inner = name.partition(".")
            if not dot:
                self._body[name] = value
            elif outer in _NESTED:
                self._body.setdefault(outer, {})[inner] = value


def _effort_for(budget: int | None) -> Effort | None:
    if budget is None or budget < 0:
        return None
    if budget == 0:
        return "none"
    return "low" if budget <= _LOW else "medium" if budget <= _MEDIUM else "high"
