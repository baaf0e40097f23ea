"""The README's command makes Table 1 on a real SLURM, a second call finds nothing to do; then the report."""

import csv
import sys
from pathlib import Path

import pytest
import yaml
from conftest import TEST_CLUSTER_OPTIONS, copy_project

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(3000)]

TABLE = "results/tables/table1.csv"
# Of the smallest config, what still meets every kind of job: a cluster job costs two starts of Snakemake.
FEWER = {"biases": [0.999], "methods": ["erm", "clustered_dreambooth"]}


@pytest.fixture
def project(tmp_path) -> Path:
    return copy_project(tmp_path / "project", **FEWER)


def test_table_1_on_two_nodes(snakemake, on_cluster, project):
    done = snakemake(TABLE, cwd=project, timeout=2700)
    assert done.returncode == 0, done.stdout
    with open(project / TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == set(FEWER["methods"])

    # Every rule that wants a GPU went to the GPU partition, at the first attempt, and both nodes were used.
    queue = on_cluster("squeue", "--states=all", "-h", "-o", "%i %P %T %N", cwd=project, timeout=30).stdout
    jobs = {job: tuple(rest) for job, *rest in map(str.split, queue.splitlines())}
    nodes = set()
    rules = set(yaml.safe_load((project / "profiles/slurm/config.yaml").read_text())["set-resources"])
    for rule in sorted(rules - {"embed_all"}):  # which is for `fairdream infer-attributes`
        # SLURM's own log is named after the job; that of several jobs lies under their group's name, which ends alike
        ids = [log.stem for log in (project / "logs/slurm").glob(f"*_{rule}/**/*.log")]
        assert ids, f"{rule} never went to the cluster"
        assert {jobs[i][:2] for i in ids} == {("gpu", "COMPLETED")}, f"{rule}\n{queue}\n{done.stdout}"
        nodes |= {jobs[i][2] for i in ids}
    assert nodes == {"node1", "node2"}, queue

    again = snakemake(TABLE, cwd=project, timeout=120)
    assert again.returncode == 0, again.stdout
    assert "Nothing to be done" in again.stdout

    # `fairdream report`: its parts are drawn here or as jobs of the partition without GPUs
    option, seconds = TEST_CLUSTER_OPTIONS
    profile = project / "profiles/slurm/config.yaml"
    profile.write_text(f"{profile.read_text()}\n{option.removeprefix('--')}: {seconds}\n")
    report = [sys.executable, "-m", "fairdream", "report", "--profile", "profiles/slurm"]
    told = on_cluster(*report, cwd=project, timeout=900)
    assert told.returncode == 0, told.stdout
    assert "results/report.html: " in told.stdout
    page = (project / "results/report.html").read_text()
    assert all(word in page for word in ("Table 1", "Audits", "Contact sheets"))
    queue = on_cluster("squeue", "--states=all", "-h", "-o", "%i %P", cwd=project, timeout=30).stdout
    later = {place for job, place in map(str.split, queue.splitlines()) if job not in jobs}
    assert later == {"cpu"}, queue
