"""Tools and the choice among them in OpenAI's responses
(https://platform.openai.com/docs/api-reference/responses/create, ``tools``, ``tool_choice``), read and written.

A ``namespace`` groups tools (Codex: one of each MCP server); names are unique within it. ``allowed_tools`` is an offer
of fewer tools, and is read as that.

Codex searches its deferred tools itself: ``tool_search`` with ``execution: client`` is a function in all but its
spelling, and without it a model of another vendor would never learn of a tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from providers.canonical.request import ChoiceMode, Hosted, Request, Tool, ToolChoice
from providers.translation.base import bad
from providers.translation.checks import flag
from providers.translation.responses_content import Labels, optional_text, text_field

NAMESPACES = "tools.namespaces"
"""The carried field that holds what the caller says of its namespaces."""

SEARCH = "tool_search"
_MODES: Mapping[str, ChoiceMode] = {"auto": "auto", "none": "none", "required": "required"}
_OWN = frozenset({"function", "custom"})
_READ = frozenset({"type", "name", "description", "parameters", "strict", "format", "defer_loading"})


class SearchTool(Tool, frozen=True):
    """The client's own search among tools that are not offered yet."""


class Offer:
    """The tools of one request while they are read."""

    __slots__ = ("_names", "hosted", "labels", "tools")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.tools: list[Tool] = []
        self.hosted: list[Hosted] = []
        self._names: set[tuple[str, str]] = set()

    def read(self, given: Any, where: str, *, again: bool = False) -> None:
        """A list of tools of all kinds. ``again``: one that is offered already may stand in it. Raises
        ``BodyError``."""
        for place, entry in _entries(given, where):
            kind = text_field(entry, "type", place)
            if kind in _OWN:
                self._add(_tool(entry, place, ""), entry, place, again=again)
            elif kind == "namespace":
                self._read_namespace(entry, place, again=again)
            elif kind == SEARCH and entry.get("execution") == "client":
                self._add(_search_tool(entry, place), {}, place, again=again)
            else:
                self.hosted.append(Hosted("openai_responses", kind, entry))

    def _read_namespace(self, entry: Mapping[str, Any], where: str, *, again: bool) -> None:
        name = text_field(entry, "name", where)
        if not name:
            raise bad(f"{where}.name", "must not be empty")
        if description := optional_text(entry, "description", where):
            self.labels.setdefault(NAMESPACES, {})[name] = description
        for place, tool in _entries(entry.get("tools"), f"{where}.tools"):
            if text_field(tool, "type", place) not in _OWN:
                raise bad(f"{place}.type", "a namespace holds tools of type 'function' and 'custom'")
            self._add(_tool(tool, place, name), tool, place, again=again)

    def _add(self, tool: Tool, entry: Mapping[str, Any], where: str, *, again: bool) -> None:
        named = (tool.namespace, tool.name)
        if named in self._names:
            if again:
                return
            raise bad(f"{where}.name", f"two tools are named {tool.name!r}")
        self._names.add(named)
        self.tools.append(tool)
        for field in entry:
            if field not in _READ and entry[field] is not None:
                self.labels[f"tools.{field}"] = entry[field]

    def choose(self, given: Any) -> ToolChoice | None:
        """``tool_choice``. One of the vendor's own tools is carried as it came."""
        if given is None:
            return None
        if isinstance(given, str):
            return _mode(given, "tool_choice")
        if not isinstance(given, dict):
            raise bad("tool_choice", "must be a string or an object")
        kind = text_field(given, "type", "tool_choice")
        if kind == "allowed_tools":
            return self._choose_among(given)
        if kind in _OWN:
            return self._choose_named(
                text_field(given, "name", "tool_choice"), optional_text(given, "namespace", "tool_choice")
            )
        self.labels["tool_choice"] = given
        return None

    def _choose_named(self, name: str, namespace: str) -> ToolChoice:
        for tool in self.tools:
            if tool.name == name and namespace in ("", tool.namespace):
                return ToolChoice("named", name, tool.namespace)
        raise bad("tool_choice.name", f"Tool choice '{name}' not found in 'tools' parameter.")

    def _choose_among(self, given: Mapping[str, Any]) -> ToolChoice | None:
        allowed = [entry for _, entry in _entries(given.get("tools"), "tool_choice.tools")]
        self.tools = [tool for tool in self.tools if any(_allows(entry, tool) for entry in allowed)]
        kinds = {entry.get("type") for entry in allowed}
        self.hosted = [tool for tool in self.hosted if tool.kind in kinds]
        return _mode(text_field(given, "mode", "tool_choice"), "tool_choice.mode")


def _allows(entry: Mapping[str, Any], tool: Tool) -> bool:
    if entry.get("type") == SEARCH:
        return isinstance(tool, SearchTool)
    if entry.get("type") == "namespace":
        return bool(entry.get("name") == tool.namespace)
    return bool(entry.get("name") == tool.name) and entry.get("namespace") in (None, tool.namespace)


def _mode(word: str, where: str) -> ToolChoice:
    mode = _MODES.get(word)
    if mode is None:
        raise bad(where, f"{word!r} is not one of {', '.join(_MODES)}")
    return ToolChoice(mode)


def _entries(given: Any, where: str) -> Iterable[tuple[str, dict[str, Any]]]:
    if given is None:
        return
    if not isinstance(given, list):
        raise bad(where, "must be a list")
    for index, entry in enumerate(given):
        if not isinstance(entry, dict):
            raise bad(f"{where}[{index}]", "must be an object")
        yield f"{where}[{index}]", entry


def _tool(entry: Mapping[str, Any], where: str, namespace: str) -> Tool:
    name = text_field(entry, "name", where)
    if not name:
        raise bad(f"{where}.name", "must not be empty")
    custom = entry["type"] == "custom"
    schema = entry.get("format" if custom else "parameters")
    if schema is not None and not isinstance(schema, dict):
        raise bad(f"{where}.{'format' if custom else 'parameters'}", "must be an object")
    return Tool(
        name,
        optional_text(entry, "description", where),
        schema,
        flag(entry.get("strict"), f"{where}.strict"),
        namespace,
        custom,
        entry.get("defer_loading") is True,
    )


def _search_tool(entry: Mapping[str, Any], where: str) -> SearchTool:
    return SearchTool(SEARCH, optional_text(entry, "description", where), entry.get("parameters"))


def found_names(given: Any, where: str) -> list[str]:
    """Names of the tools in a list, as other vendors' models are told them."""
    names: list[str] = []
    for place, entry in _entries(given, where):
        name = optional_text(entry, "name", place)
        if entry.get("type") == "namespace":
            names += [f"{name}__{inner}" for inner in found_names(entry.get("tools"), f"{place}.tools")]
        elif name:
            names.append(name)
    return names


def searches(request: Request) -> bool:
    """Calls of ``tool_search`` are the client's to run."""
    return any(isinstance(tool, SearchTool) for tool in request.tools)


def written_tools(request: Request) -> list[dict[str, Any]]:
    """Tools as the dialect spells them, each namespace where its first tool stands."""
    written: list[dict[str, Any]] = []
    groups: dict[str, dict[str, Any]] = {}
    said = request.carried.get(NAMESPACES, {})
    for tool in request.tools:
        entry = _written_tool(tool)
        if not tool.namespace:
            written.append(entry)
            continue
        group = groups.get(tool.namespace)
        if group is None:
            group = groups[tool.namespace] = {
                "type": "namespace",
                "name": tool.namespace,
                "description": said.get(tool.namespace, ""),
                "tools": [],
            }
            written.append(group)
        group["tools"].append(entry)
    return written


def _written_tool(tool: Tool) -> dict[str, Any]:
    if isinstance(tool, SearchTool):
        return {"type": SEARCH, "execution": "client", "description": tool.description, "parameters": tool.schema}
    entry: dict[str, Any] = {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.description:
        entry["description"] = tool.description
    if tool.custom:
        if tool.schema is not None:
            entry["format"] = tool.schema
    else:
        entry["parameters"] = tool.schema
        entry["strict"] = tool.strict
    if tool.deferred:
        entry["defer_loading"] = True
    return entry


def written_choice(request: Request) -> Any:
    """``tool_choice``; ``None``: the caller does not say."""
    choice = request.choice
    if choice is None:
        return request.carried.get("tool_choice")
    if choice.mode != "named":
        return choice.mode
    custom = any(t.custom and (t.name, t.namespace) == (choice.name, choice.namespace) for t in request.tools)
    return {"type": "custom" if custom else "function", "name": choice.name}
