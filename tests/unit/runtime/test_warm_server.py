"""The warm server runs jobs as their own process would, and ends with what it serves."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import psutil
import pytest
from processes import bearing

ROOT = Path(__file__).resolve().parents[3]

# A library module with jobs of this test's own, and the script of a rule that asks for one.
JOBS = """
import os, time
from fairdream.errors import UserError


def write(path, text):
    print("working on", path)
    with open(path, "w") as file:
        file.write(f"{text} {os.getpid()}")


def mistaken():
    raise UserError("group a-x has 2 images; lower clusters")


def broken():
    raise RuntimeError("a bug")


def saved(path):
    from fairdream.runtime.job import stop_asked
    with stop_asked() as stopping:
        write(path, "started")
        while not stopping():
            time.sleep(0.05)
    time.sleep(0.5)
    write(path, "saved")


def endless(path):
    write(path, "started")
    time.sleep(600)
    write(path, "ended")
"""
SCRIPT = """
import sys, jobs
from pathlib import Path
from types import SimpleNamespace
from fairdream.runtime.code_digest import code_digest
from fairdream.runtime.job import run

name, log, *pairs = sys.argv[1:]
root = Path(__file__).parents[2]
code = code_digest(Path(__file__), root / "src/fairdream", root / "requirements.lock")
snakemake = SimpleNamespace(input=[], log=[log], threads=1, params=SimpleNamespace(code=code))
run(getattr(jobs, name), snakemake, **dict(pair.split("=", 1) for pair in pairs))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "jobs.py").write_text(JOBS)
    # a job finds its project by its script's path
    (tmp_path / "workflow/scripts").mkdir(parents=True)
    (tmp_path / "workflow/scripts/script.py").write_text(SCRIPT)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/fairdream").symlink_to(ROOT / "src/fairdream")
    (tmp_path / "requirements.lock").touch()
    # the real list takes seconds to load; what is loaded changes no behaviour of the server
    (tmp_path / "server.py").write_text(
        "import sys, fairdream.runtime.warm_server as warm\n"
        "warm.LIBRARIES = ('json',); sys.exit(warm.main(sys.argv[1:]))"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT / 'src'}")
    monkeypatch.delenv("FAIRDREAM_WARM", raising=False)
    return tmp_path


def script(folder, *arguments):
    return [sys.executable, str(folder / "workflow/scripts/script.py"), *arguments]


def warm(folder, *command):
    return subprocess.run(
        [sys.executable, str(folder / "server.py"), *command],
        cwd=folder,
        timeout=120,
        capture_output=True,
        text=True,
    )


@pytest.fixture(params=["warm", "alone"])
def run(request, folder):
    if request.param == "warm":
        return lambda *arguments: warm(folder, *script(folder, *arguments))
    return lambda *arguments: subprocess.run(
        script(folder, *arguments), cwd=folder, timeout=120, capture_output=True, text=True
    )


def test_a_job_writes_its_output_and_its_log(folder, run):
    done = run("write", "logs/a.log", "path=out.txt", "text=hello")
    assert done.returncode == 0, done.stderr
    assert (folder / "out.txt").read_text().startswith("hello ")
    assert (folder / "logs/a.log").read_text() == "working on out.txt\n"


def test_a_user_s_mistake_is_a_message_without_traceback(folder, run):
    assert run("mistaken", "a.log").returncode == 1
    log = (folder / "a.log").read_text()
    assert "group a-x has 2 images; lower clusters" in log
    assert "Traceback" not in log


def test_a_bug_has_a_traceback(folder, run):
    assert run("broken", "a.log").returncode == 1
    log = (folder / "a.log").read_text()
    assert "Traceback" in log
    assert "RuntimeError: a bug" in log


def test_the_command_s_status_is_the_server_s(folder):
    assert warm(folder, sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_two_jobs_are_two_processes_of_one_server(folder):
    first, second = (" ".join(script(folder, "write", f"{n}.log", f"path={n}.txt", f"text={n}")) for n in "ab")
    assert warm(folder, "sh", "-c", f"{first} && {second}").returncode == 0
    texts = [(folder / f"{n}.txt").read_text().split() for n in "ab"]
    assert [name for name, _ in texts] == ["a", "b"]
    assert texts[0][1] != texts[1][1]


def test_a_module_edited_between_two_jobs_is_read_anew(folder):
    edit = textwrap.dedent(
        f"""
        {" ".join(script(folder, "write", "a.log", "path=a.txt", "text=a"))}
        sed -i 's/text}} /text}}!! /' jobs.py  # another length: Python tells files of one second by it
        {" ".join(script(folder, "write", "b.log", "path=b.txt", "text=b"))}
        """
    )
    assert warm(folder, "sh", "-c", edit).returncode == 0
    assert (folder / "b.txt").read_text().startswith("b!")


def alive(pid: int) -> bool:
    try:
        # a process that has ended but was not waited for does no work
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return result


def started(path: Path):
    return lambda: path.is_file() and path.read_text().startswith("started ") and path.read_text()


def test_a_killed_client_kills_its_job(folder):
    code = textwrap.dedent(
        f"""
        import subprocess, time, pathlib, psutil
        client = subprocess.Popen({script(folder, "endless", "a.log", "path=out.txt")!r})
        while not (pathlib.Path("out.txt").is_file() and pathlib.Path("out.txt").read_text()):
            time.sleep(0.05)
        client.kill()
        client.wait()
        job = int(pathlib.Path("out.txt").read_text().split()[1])
        deadline = time.monotonic() + 60
        try:
            while psutil.Process(job).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                if time.monotonic() > deadline:
                    raise SystemExit("the job lives on")
                time.sleep(0.05)
        except psutil.NoSuchProcess:
            pass
        """
    )
    done = warm(folder, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "ended" not in (folder / "out.txt").read_text()


def test_a_job_that_dies_fails_its_client(folder):
    server = subprocess.Popen(
        [sys.executable, str(folder / "server.py"), *script(folder, "endless", "a.log", "path=out.txt")],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    job = int(wait_for(started(folder / "out.txt")).split()[1])
    os.kill(job, signal.SIGKILL)
    _, errors = server.communicate(timeout=60)
    assert server.returncode == 1
    assert "the job's process died; its log is a.log" in errors


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_wrapper(folder, how):
    wrapper = subprocess.Popen(
        [sys.executable, str(folder / "server.py"), *script(folder, "endless", "a.log", "path=out.txt")], cwd=folder
    )
    job = int(wait_for(started(folder / "out.txt")).split()[1])
    server = psutil.Process(job).ppid()
    assert alive(server)
    wrapper.send_signal(how)
    wrapper.wait(timeout=60)
    wait_for(lambda: not alive(server) and not alive(job))
    assert "ended" not in (folder / "out.txt").read_text()


def test_server_and_socket_are_gone_at_the_end(folder):
    code = "import os; print(os.environ['FAIRDREAM_WARM'])"
    before = set(Path("/proc").glob("[0-9]*"))
    done = warm(folder, sys.executable, "-c", code)
    address = Path(done.stdout.strip())
    assert not address.parent.exists()
    for entry in set(Path("/proc").glob("[0-9]*")) - before:
        try:
            assert str(folder / "server.py") not in (entry / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue


def test_the_server_is_in_a_folder_for_its_user_alone(folder):
    code = "import os; print(oct(os.stat(os.path.dirname(os.environ['FAIRDREAM_WARM'])).st_mode & 0o777))"
    assert warm(folder, sys.executable, "-c", code).stdout.strip() == "0o700"


ASKING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def ask_to_end(folder, command: list[str], moment, how: signal.Signals) -> tuple[int, float]:
    """Start a command, ask it to end when it is the moment; return its status and the seconds it took to."""
    mark = str(uuid.uuid4())
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "MARK": mark}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    moment()
    began = time.monotonic()
    process.send_signal(how)
    try:
        process.wait(30)
    finally:
        took = time.monotonic() - began
        # the fork of a client that was killed needs a moment to see it
        deadline = time.monotonic() + 2
        while (left := bearing(mark)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for own in left:
            own.kill()
        process.wait()
    assert not left, left
    return process.returncode, took


@pytest.mark.parametrize("how", ASKING)
def test_a_job_that_is_asked_to_end_has_time_to_save(folder, how):
    command = [sys.executable, str(folder / "server.py"), *script(folder, "saved", "a.log", "path=out.txt")]
    status, took = ask_to_end(folder, command, lambda: wait_for(started(folder / "out.txt")), how)
    assert status == 128 + how
    assert took < 5
    assert (folder / "out.txt").read_text().startswith("saved ")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_asked_to_end_while_it_starts_and_imports_it_ends(folder, seed):
    """With the real libraries, whose import takes seconds."""
    chance = random.Random(seed)
    command = [
        sys.executable,
        "-m",
        "fairdream.runtime.warm_server",
        *script(folder, "endless", "a.log", "path=out.txt"),
    ]
    for how in ASKING * (1 if seed == 1 else 5):
        status, took = ask_to_end(folder, command, lambda: time.sleep(chance.uniform(0, 3)), how)
        # before Python has begun to read the module it ends by itself
        assert status in (128 + how, -how, 1 if how == signal.SIGINT else -how)
        assert took < 5


@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_a_report_that_is_asked_to_end_while_it_starts_ends(tmp_path, seed):
    chance = random.Random(seed)
    for name in ("Snakefile", "rules", "workflow", "src", "profiles", "config", "resources", "requirements.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "fairdream", "report", "demo"]
    for how in ASKING * (1 if seed == 3 else 5):
        status, took = ask_to_end(tmp_path, command, lambda: time.sleep(chance.uniform(0, 2)), how)
        assert status in (128 + how, -how, 1 if how == signal.SIGINT else -how)
        assert took < 5
