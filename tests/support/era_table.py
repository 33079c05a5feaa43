"""The table of cells in docs/eras.md, made of the features that the tests run: ``python -m tests.support.era_table``
writes it."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.gateway import ROOT

DOCUMENT = ROOT / "docs" / "eras.md"
BEGIN, END = "<!-- cells: begin -->\n", "<!-- cells: end -->\n"
MEMBERS = (("modern", "http"), ("modern", "stdio"), ("legacy", "http"), ("legacy", "stdio"), ("legacy", "sse"))
NOTES = {
    "addresses to be visited first (`-32042` of 2025-11-25)": {
        ("modern", "legacy"): "asked as a URL elicitation",
        ("legacy", "legacy"): "passed on",
        ("modern", "modern"): "–",
        ("legacy", "modern"): "–",
    }
}
"""Where a cell does something else than the feature says: by client era and member era."""


def table_of(features: Iterable[str]) -> str:
    """One row a feature, one column a cell; every entry is a test."""
    columns = [(client, *member) for client in ("modern", "legacy") for member in MEMBERS]
    head = " | ".join(f"{client} → {era} {transport}" for client, era, transport in columns)
    lines = [f"| feature | {head} |", "|---|" + "---|" * len(columns)]
    for name in features:
        notes = NOTES.get(name, {})
        cells = " | ".join(notes.get((client, era), "yes") for client, era, _ in columns)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def table_in_docs() -> str:
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    from tests.interaction.era_features import FEATURES

    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table_of(FEATURES) + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
