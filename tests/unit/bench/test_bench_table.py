"""The one table of the benchmarks: ratios and shares, and that each benchmark that it runs adds rows to it."""

import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench"


@pytest.fixture
def bench(monkeypatch):
    """The modules `rows` and `table`, which are scripts' and not the library's."""
    monkeypatch.syspath_prepend(str(BENCH))
    import rows
    import table

    yield rows, table
    for name in ("rows", "table"):
        sys.modules.pop(name)


def test_a_ratio_above_one_is_better_for_speeds_and_for_costs(bench):
    rows, _ = bench
    assert rows.Row("a", "images a second", ours=6, peer=2, limit=8).ratio == 3
    assert rows.Row("a", "images a second", ours=6, peer=2, limit=8).share == 0.75
    assert rows.Row("b", "s", ours=2, peer=6, limit=10, cost=True).ratio == 3
    assert rows.Row("b", "s", ours=2, peer=6, limit=10, cost=True).share == 0.2


def test_rows_that_a_benchmark_adds_are_in_the_table(bench, tmp_path, monkeypatch):
    rows, table = bench
    monkeypatch.setenv(rows.VARIABLE, str(tmp_path / "rows"))
    rows.add(rows.Row("drawing", "images a second", 15.04, 10, "stock", 16, "bare", goal="1.5 times"))
    rows.add(rows.Row("memory", "GB", 1.5))
    read = [rows.Row(**json.loads(line)) for line in (tmp_path / "rows").read_text().splitlines()]
    text = table.as_table(read).splitlines()
    assert text[2] == "| drawing | images a second | 15 | 10 (stock) | 1.50 | 16 (bare) | 94% | 1.5 times |"
    assert text[3] == "| memory | GB | 1.5 |  |  |  |  |  |"


def test_every_benchmark_of_the_table_is_there_and_adds_rows(bench):
    _, table = bench
    for name in table.COMMANDS:
        assert "add(" in (BENCH / f"{name}.py").read_text()


def test_a_peer_that_is_not_there_is_told_before_anything_runs(bench, monkeypatch, capsys):
    _, table = bench
    monkeypatch.setattr(sys, "argv", ["table.py", "--peer", "/nowhere/train.py"])
    with pytest.raises(SystemExit) as end:
        table.main()
    assert end.value.code == 2
    assert "there is no file /nowhere/train.py" in capsys.readouterr().err
