"""Laws of the house that can be read off the code: the route table, error pages, examples, versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.loader import load
from gateway.routes import ANTHROPIC_ROUTES, MODEL_ROUTES
from gateway.surfaces.mcp_requests import CALLS, LISTS
from mcp_hub.dispatch import CALL_METHODS
from mcp_hub.wire import legacy, modern
from policies.stores.engine import CURRENT

ROOT = Path(__file__).parent.parent.parent
CODE = re.compile(r"""(?:code=|"code": |code\]? ?= ?)"([a-z]+(?:_[a-z]+)+)\"""")
POSITIONAL = re.compile(
    r"""(?:AdminError\(\s*\d+,|KeyringError\(\s*\d+,|BodyError\(|TransportFailure\(|_bad_request\(|_failure\(|_fault\()\s*"([a-z]+(?:_[a-z]+)+)\""""
)
NOT_CODES = {"error_description"}


def sources() -> list[Path]:
    return [path for room in ("gateway", "mcp_hub", "policies", "providers") for path in (ROOT / room).rglob("*.py")]


def test_every_error_code_has_a_page_and_every_page_a_code() -> None:
    text = "\n".join(path.read_text() for path in sources())
    codes = {match for pattern in (CODE, POSITIONAL) for match in pattern.findall(text)} - NOT_CODES
    pages = {path.stem for path in (ROOT / "docs" / "errors").glob("*.md")}
    assert codes - pages == set()
    assert {page for page in pages if f'"{page}"' not in text} == set()


def test_every_method_that_runs_something_goes_through_the_passage() -> None:
    """Law 1: what a client can ask for is a list from memory, a call for the passage, or harmless."""
    harmless = {"server/discover", "subscriptions/listen", "initialize", "ping", "logging/setLevel"}
    for methods in (modern.METHODS, legacy.METHODS):
        assert methods - set(CALLS) - set(LISTS) - harmless == set()
    assert set(CALLS) == set(CALL_METHODS.values())


def test_every_model_route_is_a_surface_on_the_passage() -> None:
    paths = [path for path, _ in (*MODEL_ROUTES, *ANTHROPIC_ROUTES)]
    assert len(paths) == len(set(paths)) == 8
    (user,) = [path for path in sources() if ".dispatch(" in path.read_text() and path.parent.name == "surfaces"]
    assert user.name == "models.py"
    assert "passage.enter(" in user.read_text()


@pytest.mark.parametrize("example", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_example_loads(example: Path) -> None:
    environ = {"TOLLKEEPER_QUICKSTART_KEY": "vk-" + "a1" * 20, "TOLLKEEPER_KEY": "vk-" + "b2" * 20}
    assert load(example, environ).config.virtual_keys


def test_the_newest_migration_is_the_one_that_the_engine_expects() -> None:
    revisions = [
        path.stem.split("_")[0].removeprefix("v")
        for path in (ROOT / "policies/stores/migrations/versions").glob("v*.py")
    ]
    assert max(revisions) == CURRENT


def test_lock_files_have_hashes_and_no_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
    assert "resolved" not in (ROOT / "tests/clients/package-lock.json").read_text()
