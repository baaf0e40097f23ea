"""Each value of a table's file is read as it stands there."""

import pytest

from fairdream.data.table_files import as_text, read_table
from fairdream.errors import UserError


def test_json_lines_are_read_as_they_stand(tmp_path):
    lines = (
        '{"": "a", "date": 1700000000, "0": "2024-01-31", "n": 1234567890123456789012}\n\n{"date": null, "n": 1.0}\n'
    )
    (tmp_path / "a.jsonl").write_text(lines)
    table = read_table(tmp_path / "a.jsonl").apply(as_text)
    assert table.to_dict("list") == {
        "": ["a", ""],
        "date": ["1700000000", ""],
        "0": ["2024-01-31", ""],
        "n": ["1234567890123456789012", "1"],
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_are_read(tmp_path, end):
    (tmp_path / "a.jsonl").write_text(f'{{"a": "é"}}{end}{{"a": "b"}}{end}', encoding="utf-8", newline="")
    assert read_table(tmp_path / "a.jsonl")["a"].tolist() == ["é", "b"]


def test_a_first_line_longer_than_the_csv_library_reads_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text(f'"{"x" * 200_000}",b\n1,2\n')
    with pytest.raises(UserError, match=r"a\.csv: cannot be read as a table: field larger than field limit"):
        read_table(tmp_path / "a.csv")
