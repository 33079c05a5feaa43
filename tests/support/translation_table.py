"""The tables of cells in docs/providers.md, made of the features that the tests run:
``python -m tests.support.translation_table`` writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.gateway import ROOT

DOCUMENT = ROOT / "docs" / "providers.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
SURFACES = {
    "chat": "`/v1/chat/completions`",
    "responses": "`/v1/responses`",
    "messages": "`/anthropic/v1/messages`",
    "gemini": "`/genai/v1beta/models/…:generateContent`",
}
TARGETS = ("openai", "anthropic", "gemini", "bedrock")
CELLS = [(surface, target) for surface in SURFACES for target in TARGETS] + [("responses", "openai responses")]
YES, NO_WORD = "yes", "–"


@dataclass(frozen=True)
class Difference:
    """What some cells do instead. ``surfaces`` or ``targets`` empty: all of them, but for a cell of one dialect."""

    feature: str
    outcome: str
    why: str
    surfaces: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


_OTHERS = ("openai", "anthropic", "bedrock")
_OPENAI_SDK = ("chat", "responses")
DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "thoughts that another vendor's model had, when a conversation moves",
        "left out: `reasoning`",
        "only who sealed a thought can read it, and refuses what another one sealed",
    ),
    Difference(
        "a tool's result with an image",
        NO_WORD,
        "a tool message of chat completions holds text only",
        surfaces=("chat",),
    ),
    Difference(
        "cache marks", NO_WORD, "Gemini's clients name a cache that they made, or nothing", surfaces=("gemini",)
    ),
    Difference(
        "cache marks",
        "left out: `cache_control`",
        "OpenAI's vendors cache by themselves",
        surfaces=("responses", "messages"),
        targets=("openai",),
    ),
    Difference("cache marks", "left out: `cache_control`", "Gemini caches by itself", targets=("gemini",)),
    Difference(
        "a PDF document",
        "left out: `title`",
        "OpenAI's clients must name a file; Gemini's documents have no name",
        surfaces=_OPENAI_SDK,
        targets=("gemini",),
    ),
    Difference("stopped by a stop sequence", NO_WORD, "the responses API has none", surfaces=("responses",)),
    Difference("`top_k`", NO_WORD, "OpenAI's API has none", surfaces=_OPENAI_SDK),
    Difference("`top_k`", "refused: `top_k`", "OpenAI's API has none", targets=("openai",)),
    Difference("`seed`", NO_WORD, "neither API has one", surfaces=("responses", "messages")),
    Difference("`seed`", "refused: `seed`", "neither API has one", targets=("anthropic", "bedrock")),
    Difference("log probabilities", NO_WORD, "Anthropic's API has none", surfaces=("messages",)),
    Difference(
        "log probabilities",
        "refused: `logprobs`",
        "they are not translated",
        surfaces=("chat",),
        targets=("anthropic", "gemini", "bedrock"),
    ),
    Difference(
        "log probabilities",
        "refused: `top_logprobs`",
        "they are not translated",
        surfaces=("responses",),
        targets=TARGETS,
    ),
    Difference(
        "log probabilities",
        "refused: `generationConfig.responseLogprobs`",
        "they are not translated",
        surfaces=("gemini",),
        targets=_OTHERS,
    ),
)
"""The first that covers a cell says what it does."""


def outcome_of(feature: str, surface: str, target: str) -> str:
    """What the cell does."""
    for one in DIFFERENCES:
        if one.feature == feature and _covers(one, surface, target):
            return one.outcome
    return YES


def _covers(one: Difference, surface: str, target: str) -> bool:
    return (not one.surfaces or surface in one.surfaces) and (not one.targets or target in one.targets)


def tables_of(features: Iterable[str]) -> str:
    """One table a surface: a row a feature, a column a vendor; every entry is a test. Then why."""
    names = list(features)
    lines: list[str] = []
    for surface, path in SURFACES.items():
        targets = [target for one, target in CELLS if one == surface]
        lines += [f"Clients of {path}:", "", f"| feature | {' | '.join(targets)} |", "|---|" + "---|" * len(targets)]
        for name in names:
            cells = " | ".join(outcome_of(name, surface, target) for target in targets)
            lines.append(f"| {name} | {cells} |")
        lines.append("")
    return "\n".join([*lines, *_reasons()]) + "\n"


def _reasons() -> list[str]:
    """Why some cells do something else."""
    told: dict[tuple[str, str], list[str]] = {}
    for one in DIFFERENCES:
        outcomes = told.setdefault((one.feature, one.why), [])
        if one.outcome not in outcomes:
            outcomes.append(one.outcome)
    return [
        f"- {feature}: {', '.join(outcomes)}. {why[0].upper()}{why[1:]}." for (feature, why), outcomes in told.items()
    ]


def tables_in_docs() -> str:
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    from tests.interaction.translation_endings import FEATURES

    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + tables_of(FEATURES) + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
