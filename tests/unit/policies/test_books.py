"""The journal and the ledger store: nothing lost, nothing twice, sums that agree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.journal import Journal, JournalLocked
from policies.ledger import LedgerRow, tokens_of
from policies.ledger_queries import LedgerFilter
from policies.run_tree import build_trees, render
from policies.stores.engine import open_engine
from policies.stores.ledger import ROWS_AT_ONCE, RelationalLedger
from policies.windows import day_of

DAY = 86_400 * 1_000_000_000
START = 20_000 * DAY


def row(number: int, **fields: object) -> LedgerRow:
    base: dict[str, object] = {
        "call_id": f"c{number:05d}", "started_ns": START + number, "kind": "model", "surface": "t", "target": "m",
        "outcome": "ok", "key": "k", "tiers": ("key:k", "team:t"),
    }  # fmt: skip
    return LedgerRow(**{**base, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    open_engine(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> RelationalLedger:
    path = tmp_path / "ledger.db"
    path.write_bytes(template.read_bytes())
    return RelationalLedger(open_engine(f"sqlite:///{path}"))


ROWS = st.lists(
    st.builds(
        lambda number, days, cost, tokens, outcome, tiers: row(
            number,
            started_ns=START + days * DAY,
            cost_nano=cost,
            input_tokens=tokens,
            outcome=outcome,
            tiers=tuple(tiers),
        ),
        st.integers(0, 30),
        st.integers(0, 3),
        st.integers(0, 10**12),
        st.integers(0, 10**6),
        st.sampled_from(["ok", "failed", "refused", "cancelled", "interrupted"]),
        st.sets(st.sampled_from(["key:a", "key:b", "team:t"])),
    ),
    max_size=40,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, max_size=4))
def test_daily_sums_are_the_sums_of_the_rows_however_often_they_are_replayed(
    template: Path, tmp_path_factory: pytest.TempPathFactory, batches: list[list[LedgerRow]]
) -> None:
    path = tmp_path_factory.mktemp("sums") / "ledger.db"
    path.write_bytes(template.read_bytes())
    store = RelationalLedger(open_engine(f"sqlite:///{path}"))
    for batch in [*batches, *batches]:
        store.write(batch)
    kept: dict[tuple[str, int], LedgerRow] = {}
    for found in (r for batch in batches for r in batch):
        kept.setdefault((found.call_id, found.attempt), found)
    page = store.page(LedgerFilter(), None, 1_000, newest_first=False)
    assert sorted((r.call_id, r.cost_nano) for r in page.rows) == sorted(
        (r.call_id, r.cost_nano) for r in kept.values()
    )
    expected: Counter[tuple[str, str, str]] = Counter()
    for found in kept.values():
        for tier in found.tiers:
            first = int(found.attempt == 1)
            for measure, amount in (("cost", found.cost_nano), ("tokens", tokens_of(found)), ("requests", first)):
                expected[tier, day_of(found.started_ns), measure] += amount
    sums: Counter[tuple[str, str, str]] = Counter()
    for entry in store.usage_since("1970-01-01"):
        for measure, amount in (("cost", entry.cost_nano), ("tokens", entry.tokens), ("requests", entry.requests)):
            sums[entry.tier, entry.day, measure] += amount
    assert +sums == +expected
    store.close()


def test_a_batch_of_which_a_row_is_there_already_adds_the_others(store: RelationalLedger) -> None:
    batch = [row(number, cost_nano=1) for number in range(2 * ROWS_AT_ONCE + 3)]
    store.write([batch[ROWS_AT_ONCE + 1]])
    assert store.write(batch) == len(batch) - 1
    assert store.write(batch) == 0
    assert len(store.recent(0)) == len(batch)
    assert {use.cost_nano for use in store.usage_since("2000-01-01")} == {len(batch)}


def test_a_batch_of_rows_is_written_once_and_not_into_a_journal_of_its_own_too(store: RelationalLedger) -> None:
    """By the system's own count of writes: SQLite kept a copy of every page that fifty rows change."""

    def writes() -> int:
        return int(Path("/proc/self/io").read_text().partition("syscw: ")[2].split()[0])

    store.write([row(number) for number in range(1_000)])
    before = writes()
    store.write([row(number) for number in range(1_000, 2_000)])
    assert writes() - before < 400


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_give_every_row_once_in_order(store: RelationalLedger, newest_first: bool) -> None:
    store.write([row(n, started_ns=START + n // 3) for n in range(50)])
    seen: list[str] = []
    cursor = None
    while True:
        page = store.page(LedgerFilter(key="k"), cursor, 7, newest_first=newest_first)
        seen += [r.call_id for r in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted((f"c{n:05d}" for n in range(50)), reverse=newest_first)


def test_old_rows_go_and_their_sums_stay(store: RelationalLedger) -> None:
    store.write([row(n, started_ns=START + n * DAY, cost_nano=5) for n in range(10)])
    assert store.delete_before(START + 4 * DAY, 100) == 4
    assert len(store.page(LedgerFilter(), None, 100, newest_first=True).rows) == 6
    assert sum(s.cost_nano for s in store.usage_since("1970-01-01") if s.tier == "key:k") == 50


def test_a_journal_tells_what_a_dead_process_left(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=500)
    for number in range(10):
        journal.open(row(number, outcome="interrupted", cost_nano=7))
    for number in range(6):
        journal.close_attempt(row(number))
    os.close(journal._lock)
    with max(tmp_path.glob("*.jsonl")).open("ab") as torn:
        torn.write(b'{"row":{"call_id":"c0')
    found = {r.call_id: (r.outcome, final) for r, final in Journal(tmp_path).recover()}
    assert found == {
        **{f"c{n:05d}": ("ok", True) for n in range(6)},
        **{f"c{n:05d}": ("interrupted", False) for n in range(6, 10)},
    }


def test_segments_go_when_nothing_needs_them(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=300)
    rows = [row(number) for number in range(20)]
    for each in rows:
        journal.open(each)
        journal.close_attempt(each)
    assert len(list(tmp_path.glob("*.jsonl"))) > 5
    journal.committed(rows)
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    journal.close()
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_broken_line_in_the_middle_is_set_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open(row(1, outcome="interrupted"))
    os.close(journal._lock)
    (segment,) = tmp_path.glob("*.jsonl")
    segment.write_bytes(b"garbage\n" + segment.read_bytes())
    assert [r.call_id for r, _ in Journal(tmp_path).recover()] == ["c00001"]
    assert len(list(tmp_path.glob("*.corrupt"))) == 1


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    Journal(tmp_path)
    with pytest.raises(JournalLocked, match="Another gateway"):
        Journal(tmp_path)


WRITER = """
import sys
from pathlib import Path
from policies.journal import Journal
from policies.ledger import LedgerRow
journal = Journal(Path(sys.argv[1]), segment_bytes=2000)
base = dict(started_ns=1, kind="model", surface="t", target="m", tiers=("key:k",))
for number in range(10**9):
    journal.open(LedgerRow(call_id=f"c{number:09d}", outcome="interrupted", cost_nano=7, **base))
    print(number, flush=True)
    if number % 3:
        journal.close_attempt(LedgerRow(call_id=f"c{number:09d}", outcome="ok", cost_nano=3, **base))
"""


def test_a_killed_writer_loses_no_call(tmp_path: Path) -> None:
    for turn in range(8):
        directory = tmp_path / str(turn)
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(50 + 37 * turn):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().splitlines()
        last = int(rest[-1]) if rest and rest[-1].isdigit() else last
        child.wait()
        found = [r.call_id for r, _ in Journal(directory).recover()]
        assert len(found) == len(set(found))
        assert set(found) >= {f"c{n:09d}" for n in range(last)}


def test_a_run_is_a_tree_with_totals_and_two_keys_stand_apart() -> None:
    rows = [
        row(1, run="r", input_tokens=100, output_tokens=12, cost_nano=640_000, basis="measured"),
        row(2, run="r", kind="tool", target="git/log", parent="c00001", cost_nano=1),
        row(3, run="r", kind="tool", target="git/push", parent="c00001", outcome="refused", code="budget_exceeded"),
        row(4, run="r", parent="c00002", cost_nano=5, basis="estimated"),
        row(5, run="r", key="other"),
        row(6, run="r", kind="tool", parent="c99999"),
    ]
    mine, other = build_trees("r", rows)
    assert (other.key, len(other.roots)) == ("other", 1)
    assert [root.call_id for root in mine.roots] == ["c00001", "c00006"]
    assert [child.call_id for child in mine.roots[0].children] == ["c00002", "c00003"]
    assert [child.call_id for child in mine.roots[0].children[0].children] == ["c00004"]
    text = "\n".join(render(mine))
    assert "$0.000000001" in text
    assert "~$0.000000005" in text
    assert "3 tool calls  1 refused  $0.000000001" in text
    assert "total $0.000640006" in text


def test_a_database_of_the_first_schema_is_brought_up_to_date_with_its_rows(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config as AlembicConfig

    from policies.stores.engine import connect
    from policies.stores.migrate import MIGRATIONS

    url = f"sqlite:///{tmp_path / 'old.db'}"
    old = connect(url)
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO ledger (call_id, attempt, started_ns, duration_us, overhead_us, kind, surface, operation, "
            "origin, target, outcome, status, stream, input_tokens, cache_read_tokens, cache_write_tokens, "
            "cache_write_1h_tokens, output_tokens, reasoning_tokens, cost_nano, saved_nano, basis, tiers) VALUES "
            "('old', 1, 5, 0, 0, 'model', 't', '', 'client', 'm', 'ok', 200, 0, 1, 0, 0, 0, 1, 0, 7, 0, 'measured', '[]')"
        )
    old.dispose()
    (found,) = RelationalLedger(open_engine(url)).page(LedgerFilter(), None, 10, newest_first=True).rows
    assert (found.call_id, found.cost_nano, found.held_nano) == ("old", 7, 0)


def test_the_ledger_keeps_at_most_so_many_rows_and_the_sums_stay(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(template.read_bytes())
    store = RelationalLedger(open_engine(f"sqlite:///{path}"))
    store.write([row(number, cost_nano=2) for number in range(100)])
    before = store.usage_since("1970-01-01")
    assert [store.delete_beyond(30, 50), store.delete_beyond(30, 50), store.delete_beyond(30, 50)] == [50, 20, 0]
    kept = store.page(LedgerFilter(), None, 1_000, newest_first=False).rows
    assert [r.call_id for r in kept] == [f"c{number:05d}" for number in range(70, 100)]
    assert store.usage_since("1970-01-01") == before
