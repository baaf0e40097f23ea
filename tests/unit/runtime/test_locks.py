"""A run looks at its images unless another one is writing the same results."""

from fairdream.runtime.locks import are_locked


def test_only_a_lock_of_the_same_results_counts(tmp_path):
    locks = tmp_path / "locks"
    assert not are_locked("results/birds", locks)
    locks.mkdir()
    (locks / "0.input.lock").write_text("data/birds/a.png\nresults/other/table1.csv\n")
    (locks / "0.output.lock").write_text("results/birds-trial/birds/index.parquet\n")
    assert not are_locked("results/birds", locks)
    (locks / "1.output.lock").write_text("results/birds/birds/index.parquet\n")
    assert are_locked("results/birds", locks)
