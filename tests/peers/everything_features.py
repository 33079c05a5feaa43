"""What the conformance suite expects a server to offer, and what the tests of the hub add: tools, resources,
prompts under the suite's names. A handler that needs something of its client awaits ``call.ask``; how that
travels is the wire's business (``everything_server.py``).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="


class Call(Protocol):
    """One request under way."""

    capabilities: dict[str, Any]
    meta: dict[str, Any]

    async def ask(self, **questions: dict[str, Any]) -> dict[str, Any]: ...
    async def log(self, level: str, data: str) -> None: ...
    async def progress(self, progress: float, total: float) -> None: ...
    async def changed(self, what: str) -> None: ...
    async def updated(self, uri: str) -> None: ...
    async def visited(self, elicitation: str) -> None: ...


class Failure(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


Handler = Callable[[dict[str, Any], Call], Awaitable[dict[str, Any]]]
TOOLS: dict[str, tuple[dict[str, Any], Handler]] = {}
PROMPTS: dict[str, tuple[dict[str, Any], Handler]] = {}


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


def tool(description: str, **properties: str) -> Callable[[Handler], Handler]:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }

    def add(handler: Handler) -> Handler:
        TOOLS[handler.__name__] = {"description": description, "inputSchema": schema}, handler
        return handler

    return add


def prompt(description: str, *arguments: str) -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        named = [{"name": name, "description": name, "required": True} for name in arguments]
        PROMPTS[handler.__name__] = {"description": description, "arguments": named}, handler
        return handler

    return add


def form(message: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sample(prompt: str, tokens: int = 100) -> dict[str, Any]:
    messages = [{"role": "user", "content": {"type": "text", "text": prompt}}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": tokens}}


ROOTS = {"method": "roots/list", "params": {}}
STRING = {"type": "string"}


def content_of(answer: dict[str, Any], field: str) -> Any:
    return (answer.get("content") or {}).get(field)


@tool("Simple text")
async def test_simple_text(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return text("This is a simple text response for testing.")


@tool("An image")
async def test_image_content(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return {"content": [{"type": "image", "data": PIXEL, "mimeType": "image/png"}]}


@tool("Audio")
async def test_audio_content(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return {"content": [{"type": "audio", "data": SILENCE, "mimeType": "audio/wav"}]}


def embedded(uri: str, mime_type: str, body: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": body}}


@tool("An embedded resource")
async def test_embedded_resource(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return {"content": [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]}


@tool("Several kinds of content")
async def test_multiple_content_types(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return {
        "content": [
            {"type": "text", "text": "Multiple content types test:"},
            {"type": "image", "data": PIXEL, "mimeType": "image/png"},
            embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ]
    }


@tool("Logs while it works")
async def test_tool_with_logging(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await call.log("info", said)
        await asyncio.sleep(0.02)
    return text("Tool with logging executed successfully")


@tool("Logs once")
async def test_logging_tool(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    await call.log("info", "one message")
    return text("logged")


@tool("Fails")
async def test_error_handling(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return {**text("This tool intentionally returns an error for testing"), "isError": True}


@tool("Reports progress")
async def test_tool_with_progress(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    for done in (0, 50, 100):
        await call.progress(done, 100)
        await asyncio.sleep(0.02)
    return text("done")


@tool("Asks the client's model", prompt="string")
async def test_sampling(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    answers = await call.ask(sampled=sample(arguments["prompt"]))
    return text(f"LLM response: {answers['sampled']['content']['text']}")


@tool("Asks the user", message="string")
async def test_elicitation(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    answers = await call.ask(answer=form(arguments["message"], username=STRING, email=STRING))
    said = answers["answer"]
    return text(f"User response: action={said['action']}, content={json.dumps(said.get('content') or {})}")


@tool("Sends the user to an address", url="string")
async def visit(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    params = {"mode": "url", "message": "Please sign in", "url": arguments["url"], "elicitationId": "e-1"}
    answers = await call.ask(visit={"method": "elicitation/create", "params": params})
    await call.visited("e-1")
    return text(f"visited: {answers['visit']['action']}")


@tool("Needs an address to be visited first (-32042 in 2025-11-25)")
async def url_required(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    global _signed_in
    if not _signed_in:
        _signed_in = True
        asked = {"mode": "url", "message": "Sign in", "url": "https://example.com/in", "elicitationId": "e-2"}
        raise Failure(-32042, "Sign in first", {"elicitations": [asked]})
    return text("signed in")


_signed_in = False


@tool("Asks with defaults")
async def test_elicitation_sep1034_defaults(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    answers = await call.ask(defaults=form("Please provide user information", **fields))
    return text(f"Elicitation result: action={answers['defaults']['action']}")


@tool("Asks with every kind of enum")
async def test_elicitation_sep1330_enums(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    titled = [{"const": f"value{n}", "title": f"Title {n}"} for n in (1, 2, 3)]
    options = ["option1", "option2", "option3"]
    fields = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": options, "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    answers = await call.ask(enums=form("Please choose", **fields))
    return text(f"Elicitation completed: action={answers['enums']['action']}")


@tool("Asks for a name")
async def test_input_required_result_elicitation(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    name = None
    while not isinstance(name, str):
        answers = await call.ask(user_name=form("What is your name?", name=STRING))
        name = content_of(answers["user_name"], "name")
    return text(f"Hello, {name}!")


test_streaming_elicitation = tool("Asks for a name while it streams")(
    type(test_input_required_result_elicitation)(
        test_input_required_result_elicitation.__code__, globals(), "test_streaming_elicitation"
    )
)


@tool("Asks the client's model")
async def test_input_required_result_sampling(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    answers = await call.ask(capital_question=sample("What is the capital of France?"))
    return text(answers["capital_question"]["content"]["text"])


@tool("Asks for roots")
async def test_input_required_result_list_roots(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    answers = await call.ask(client_roots=ROOTS)
    return text(" ".join(root["uri"] for root in answers["client_roots"]["roots"]))


@tool("Keeps a state")
async def test_input_required_result_request_state(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    await call.ask(confirm=form("Please confirm", ok={"type": "boolean"}))
    return text("state-ok")


@tool("Keeps a state that nobody may change")
async def test_input_required_result_tampered_state(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    await call.ask(confirm=form("Please confirm", ok={"type": "boolean"}))
    return text("state-ok")


@tool("Asks three things at once")
async def test_input_required_result_multiple_inputs(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    answers = await call.ask(
        user_name=form("What is your name?", name=STRING),
        greeting=sample("Generate a greeting", 50),
        client_roots=ROOTS,
    )
    return text(f"{content_of(answers['user_name'], 'name')}: {answers['greeting']['content']['text']}")


@tool("Asks twice")
async def test_input_required_result_multi_round(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    first = await call.ask(step1=form("Step 1: What is your name?", name=STRING))
    second = await call.ask(step2=form("Step 2: What is your favorite color?", color=STRING))
    return text(f"{content_of(first['step1'], 'name')} likes {content_of(second['step2'], 'color')}")


@tool("Asks only what the client can")
async def test_input_required_result_capabilities(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    questions: dict[str, Any] = {}
    if "elicitation" in call.capabilities:
        questions["user_name"] = form("What is your name?", name=STRING)
    if "sampling" in call.capabilities:
        questions["greeting"] = sample("Generate a greeting", 50)
    await call.ask(**questions)
    return text("asked")


@tool("Needs sampling")
async def test_missing_capability(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    if "sampling" not in call.capabilities:
        raise Failure(-32021, "This tool needs sampling", {"requiredCapabilities": {"sampling": {}}})
    await call.ask(sampled=sample("Say something"))
    return text("sampled")


@tool("Adds a tool, or takes it away")
async def test_trigger_tool_change(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    if TOOLS.pop("appearing_tool", None) is None:
        TOOLS["appearing_tool"] = {"description": "Comes and goes", "inputSchema": {"type": "object"}}, test_simple_text
    await call.changed("tools")
    return text("changed")


@tool("Adds a prompt, or takes it away")
async def test_trigger_prompt_change(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    if PROMPTS.pop("appearing_prompt", None) is None:
        PROMPTS["appearing_prompt"] = {"description": "Comes and goes"}, test_simple_prompt
    await call.changed("prompts")
    return text("changed")


@tool("Says that the watched resource has changed")
async def touch(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    await call.updated("test://watched-resource")
    return text("touched")


@tool("Links to a resource that no list names")
async def link(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return {"content": [{"type": "resource_link", "uri": "test://linked/only", "name": "linked"}]}


@tool("The process and what its session may ask")
async def whoami(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    meta = {name: value for name, value in call.meta.items() if not name.startswith("io.modelcontextprotocol/")}
    return text(json.dumps({"pid": os.getpid(), "capabilities": call.capabilities, "meta": meta}))


@tool("Never answers; notes in a file when it began and when it was cancelled", path="string")
async def forever(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    with Path(arguments["path"]).open("a") as file:
        file.write("began\n")
    try:
        await asyncio.Event().wait()
    finally:
        with Path(arguments["path"]).open("a") as file:
            file.write("cancelled\n")
    return text("never")


_here = 0
_all_here = asyncio.Event()


@tool("Waits until so many calls are here, then asks each for its name", count="integer", who="string")
async def ask_together(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    global _here
    _here += 1
    if _here >= arguments["count"]:
        _all_here.set()
    await _all_here.wait()
    if arguments["who"] == "":
        return text("nothing asked")
    answers = await call.ask(name=form(f"Who are you, {arguments['who']}?", name=STRING))
    return text(f"{arguments['who']} is {content_of(answers['name'], 'name')}")


DIALECT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
TOOLS["json_schema_2020_12_tool"] = {"description": "Every keyword", "inputSchema": DIALECT}, test_simple_text


REGION = {"type": "string", "x-mcp-header": "Region"}
TOOLS["regional"] = (
    {"description": "Runs somewhere", "inputSchema": {"type": "object", "properties": {"region": REGION}}},
    test_simple_text,
)


def said_by_user(*contents: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents]}


@prompt("A simple prompt")
async def test_simple_prompt(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return said_by_user({"type": "text", "text": "This is a simple prompt for testing."})


@prompt("A prompt with arguments", "arg1", "arg2")
async def test_prompt_with_arguments(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    filled = f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
    return said_by_user({"type": "text", "text": filled})


@prompt("A prompt with a resource in it", "resourceUri")
async def test_prompt_with_embedded_resource(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return said_by_user(
        embedded(arguments["resourceUri"], "text/plain", "Embedded resource content for testing."),
        {"type": "text", "text": "Please process the embedded resource above."},
    )


@prompt("A prompt with an image")
async def test_prompt_with_image(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    return said_by_user(
        {"type": "image", "data": PIXEL, "mimeType": "image/png"},
        {"type": "text", "text": "Please analyze the image above."},
    )


@prompt("A prompt that asks first")
async def test_input_required_result_prompt(arguments: dict[str, Any], call: Call) -> dict[str, Any]:
    answers = await call.ask(user_context=form("What context should the prompt use?", context=STRING))
    return said_by_user({"type": "text", "text": str(content_of(answers["user_context"], "context"))})


RESOURCES = [
    {"uri": "test://static-text", "name": "static text", "description": "Text", "mimeType": "text/plain"},
    {"uri": "test://static-binary", "name": "static binary", "description": "An image", "mimeType": "image/png"},
    {"uri": "test://watched-resource", "name": "watched", "description": "Changes", "mimeType": "text/plain"},
]
TEMPLATES = [
    {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"},
]


def read(uri: str, modern: bool) -> dict[str, Any]:
    found: dict[str, Any]
    if uri == "test://static-binary":
        found = {"mimeType": "image/png", "blob": PIXEL}
    elif uri.startswith("test://template/") and uri.endswith("/data"):
        name = uri.split("/")[3]
        body = json.dumps({"id": name, "templateTest": True, "data": f"Data for ID: {name}"})
        found = {"mimeType": "application/json", "text": body}
    elif uri in ("test://static-text", "test://watched-resource", "test://linked/only"):
        found = {"mimeType": "text/plain", "text": f"This is the content of {uri}."}
    else:
        raise Failure(-32602 if modern else -32002, f"Resource not found: {uri}", {"uri": uri})
    return {"contents": [{"uri": uri, **found}]}
