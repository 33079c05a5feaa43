"""The table of vendors in docs/providers.md, made of their rows: ``python -m tests.support.vendor_table`` writes it."""

from __future__ import annotations

from providers.presets import PRESETS
from tests.support.gateway import ROOT

DOCUMENT = ROOT / "docs" / "providers.md"
BEGIN, END = "<!-- vendors: begin -->\n", "<!-- vendors: end -->\n"


def table() -> str:
    lines = ["| type | kind | address | key | responses API | source |", "|---|---|---|---|---|---|"]
    for preset in PRESETS.values():
        key = f"`{preset.key_variable}`" if preset.key_variable else "none"
        responses = "yes" if preset.responses else ""
        cells = (f"`{preset.name}`", preset.kind, f"`{preset.base_url}`", key, responses, f"[docs]({preset.source})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def table_in_docs() -> str:
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
