#!/usr/bin/env python3
"""A throw-away SLURM cluster on loopback: real slurmctld, slurmd and munged, no systemd, no cgroups, no accounting.

As a context manager it lives as long as its block; its daemons die with the process that started them:

    with Cluster() as cluster:
        subprocess.run(["sbatch", "job.sh"], env=cluster.env)

From a shell (`down` stops exactly the processes that `up` recorded):

    tests/slurm/cluster.py up /tmp/lab && . /tmp/lab/env.sh && sinfo
    tests/slurm/cluster.py down /tmp/lab

Notable choices: several slurmd on one host, each with its own port and node name; nodes may declare more CPUs and
memory than there are; a fake GPU is a link to /dev/null, because SLURM wants a character device and, without cgroups,
never opens it. Runs as root or as any user; several clusters may run side by side.
"""

import argparse
import contextlib
import ctypes
import getpass
import os
import random
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def missing_daemons() -> list[str]:
    """Name the daemons that cannot be found on this machine."""
    return [name for name in DAEMONS if shutil.which(name, path=SEARCH_PATH) is None]


class Cluster:
    """Two (or more) nodes with fake GPUs and the partitions `cpu` (default), `gpu`, and `urgent`, which preempts `gpu`.

    Parameters
    ----------
    base
        Folder for configuration, state and logs; by default a temporary one that stop() removes. Its path must be
        short: a socket in it may have at most 107 characters.
    nodes, cpus, gpus, memory_mb
        Number of nodes, and what each declares.
    gpu_model, feature
        What a job may ask for with `--gpus=MODEL:1`, and with `--constraint=FEATURE`.
    die_with_parent
        Whether the daemons end when the calling process does, even by SIGKILL.
    """

    def __init__(
        self,
        base: Path | str | None = None,
        *,
        nodes: int = 2,
        cpus: int = 64,
        gpus: int = 2,
        memory_mb: int = 512_000,
        gpu_model: str = "a100",
        feature: str = "a100-80gb",
        die_with_parent: bool = True,
    ):
        self.temporary = base is None
        # Not in $TMPDIR, which may be deep.
        self.base = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")) if base is None else Path(base).resolve()
        self.nodes = [f"node{i}" for i in range(1, nodes + 1)]
        self.cpus, self.gpus, self.memory_mb, self.gpu_model = cpus, gpus, memory_mb, gpu_model
        self.feature, self.die_with_parent = feature, die_with_parent
        self.conf = self.base / "etc/slurm.conf"
        self.run = self.base / "run"
        self.logs = self.base / "log"
        self.children: dict[int, subprocess.Popen] = {}

    @property
    def env(self) -> dict[str, str]:
        """Environment for every process that talks to the cluster; that of an enclosing SLURM job is left out."""
        outer = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
        return outer | self.additions

    @property
    def additions(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.conf), "PATH": f"{self.base}/bin{os.pathsep}{SEARCH_PATH}"}

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self, timeout: float = 30) -> None:
        """Start the daemons and wait until every node is idle.

        Raises
        ------
        RuntimeError
            If a daemon is missing or the nodes are not idle in time, with the ends of the daemons' logs.
        """
        if missing := missing_daemons():
            raise RuntimeError(f"not installed: {', '.join(missing)}")
        self._write_files()
        self._daemon(
            "munged",
            *("--foreground", "--force", "--num-threads=2"),
            *(f"--key-file={self.base}/etc/munge.key", f"--socket={self.run}/munge.socket"),
            *(f"--pid-file={self.run}/munged.own", f"--seed-file={self.run}/munge.seed", f"--log-file={self.logs}/m"),
        )
        self._wait(lambda: self._ask("munge", "-n", "-S", f"{self.run}/munge.socket"), "munged", timeout)
        self._daemon("slurmctld", "-D", "-i")
        for node in self.nodes:
            self._daemon("slurmd", "-D", "-N", node, name=f"slurmd-{node}")
        # %T and the whole word: `sinfo -t idle` also lists drained nodes.
        wanted = sorted(f"{node} idle" for node in self.nodes)
        self._wait(
            lambda: sorted((self._ask("sinfo", "-h", "-N", "-p", "cpu", "-o", "%N %T") or "").splitlines()) == wanted,
            "the nodes",
            timeout,
        )

    def stop(self) -> None:
        """Cancel what runs, stop every process that was started, and remove a temporary folder."""
        # Without a controller squeue would wait for one.
        controller = self.run / "slurmctld.pid"
        if controller.exists() and recorded(controller) and self._ask("squeue", "-h"):
            self._ask("scancel", "--user", getpass.getuser())
            with contextlib.suppress(RuntimeError):
                self._wait(lambda: self._ask("squeue", "-h") == "", "the queue", 10)
        for names in ("slurmd-*", "slurmctld", "munged"):
            self._end([pid for file in sorted(self.run.glob(f"{names}.pid")) if (pid := recorded(file))])
            for file in self.run.glob(f"{names}.pid"):
                file.unlink()
        self._end(self._job_processes())
        if self.temporary:
            shutil.rmtree(self.base, ignore_errors=True)

    def _daemon(self, program: str, *arguments: str, name: str | None = None) -> None:
        name = name or program
        with open(self.logs / f"{name}.out", "ab") as log:
            process = subprocess.Popen(
                [shutil.which(program, path=SEARCH_PATH), *arguments],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                # A Ctrl-C in the terminal is for the tests: stop() needs the daemons to cancel the jobs.
                start_new_session=True,
                preexec_fn=die_with_parent if self.die_with_parent else None,
            )
        self.children[process.pid] = process
        (self.run / f"{name}.pid").write_text(f"{process.pid} {started(process.pid)}\n")

    def _ask(self, *command: str) -> str | None:
        """Return the output of a client command, or None when it fails or hangs."""
        try:
            done = subprocess.run(
                command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    def _wait(self, ready, what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not ready():
            if time.monotonic() > deadline:
                tails = [f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in self.logs.glob("*")]
                raise RuntimeError(f"{what}: not ready after {timeout:g} s\n" + "\n".join(tails))
            time.sleep(0.1)

    def _end(self, pids: list[int]) -> None:
        """Terminate processes, wait, kill what is left."""
        for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + patience
            while pids and time.monotonic() < deadline:
                for pid in pids:
                    if pid in self.children:
                        self.children[pid].poll()  # reaps it
                pids = [pid for pid in pids if started(pid)]
                time.sleep(0.05)

    def _job_processes(self) -> list[int]:
        """Find what a job left behind: a process whose environment names a job of this very cluster."""
        mine = f"SLURM_CONF={self.conf}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                in_a_job = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
                if mine in variables and (in_a_job or (folder / "comm").read_text().strip() == "slurmstepd"):
                    found.append(int(folder.name))
        return found

    def _write_files(self) -> None:
        for folder in ("state", "spool", "log"):  # a cluster of an earlier time would hand on its jobs
            shutil.rmtree(self.base / folder, ignore_errors=True)
        for folder in ("etc", "run", "log", "state", "dev", "bin", *(f"spool/{node}" for node in self.nodes)):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        for folder in (self.base, self.base / "run", self.base / "etc"):
            folder.chmod(0o755)
        key = self.base / "etc/munge.key"
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        for i in range(self.gpus):
            link = self.base / f"dev/gpu{i}"
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")

        host, user = socket.gethostname().split(".")[0], getpass.getuser()
        ports = free_ports(1 + len(self.nodes))
        gres = f"Gres=gpu:{self.gpu_model}:{self.gpus}" if self.gpus else ""
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus}"
            f" RealMemory={self.memory_mb} Feature={self.feature} {gres} State=UNKNOWN"
            for node, port in zip(self.nodes, ports[1:], strict=True)
        )
        names = ",".join(self.nodes)
        self.conf.write_text(
            f"""\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={self.run}/munge.socket
CredType=cred/munge
StateSaveLocation={self.base}/state
SlurmctldPidFile={self.run}/slurmctld.own
SlurmctldLogFile={self.logs}/slurmctld.log
SlurmdPidFile={self.run}/%n.own
SlurmdLogFile={self.logs}/%n.log
SlurmdSpoolDir={self.base}/spool/%n
MailProg=/bin/true
# Nothing listens beyond loopback.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
# A node may declare more than the machine has.
SlurmdParameters=config_overrides
# No cgroups. pgid, not linuxproc: a killed batch shell leaves its children to pid 1, where linuxproc loses them.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
# Memory limits without cgroups: poll /proc every second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,sched_interval=5,batch_sched_delay=0,sched_min_interval=0
DefMemPerCPU=100
# squeue must still know a finished job when the executor asks, and when a long test looks back at its jobs.
MinJobAge=36000
ReturnToService=2
KillWait=5
SlurmctldTimeout=60
SlurmdTimeout=60
GresTypes=gpu
# A job that is preempted gets SIGTERM, GraceTime seconds, SIGKILL.
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
{nodes}
PartitionName=DEFAULT Nodes={names} MaxTime=INFINITE State=UP
PartitionName=cpu Default=YES PriorityTier=1 PreemptMode=OFF
PartitionName=gpu PriorityTier=1 GraceTime=20
PartitionName=urgent PriorityTier=2
"""
        )
        # With a count alone, without files, slurmd reports no GPU and the node goes INVAL.
        files = f"{self.base}/dev/gpu[0-{self.gpus - 1}]" if self.gpus > 1 else f"{self.base}/dev/gpu0"
        (self.base / "etc/gres.conf").write_text(
            f"NodeName={names} Name=gpu Type={self.gpu_model} File={files}\n" if self.gpus else ""
        )

        srun = shlex.quote(shutil.which("srun", path=SEARCH_PATH) or "srun")
        # Snakemake's job step drops SLURM_CONF from the environment in which it calls srun.
        self._write_script("srun", f'SLURM_CONF={shlex.quote(str(self.conf))} exec {srun} "$@"')
        # There is no accounting, yet the executor turns to sacct whenever one `scontrol show config` fails, and then
        # forgets its jobs. The controller answers its one question.
        self._write_script(
            "sacct",
            "name=\n"
            "while [ $# -gt 0 ]; do case $1 in --name) name=$2; shift ;; --name=*) name=${1#*=} ;; esac; shift; done\n"
            '[ -n "$name" ] || exit 0\n'
            'exec squeue --states=all --noheader --format="%i|%T" --name "$name"',
        )
        # Nor is there a list of accounts to check one against.
        self._write_script("sacctmgr", "exit 0")
        self._write_script("sshare", "exit 0")
        (self.base / "env.sh").write_text(
            "".join(f"export {key}={shlex.quote(value)}\n" for key, value in self.additions.items())
        )

    def _write_script(self, name: str, body: str) -> None:
        path = self.base / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)


def die_with_parent() -> None:
    """Ask the kernel to terminate this process when its parent ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_ports(count: int) -> list[int]:
    """Draw ports of 127.0.0.1 below the range from which the kernel serves outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports between 20000 and 32000 on 127.0.0.1")


def started(pid: int) -> str:
    """Return the start time of a process, empty when it has ended (a zombie has): tells it from a later namesake."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]


def recorded(file: Path) -> int | None:
    """Return the process id in a file when that very process still runs."""
    pid, _, start = file.read_text().strip().partition(" ")
    return int(pid) if start and started(int(pid)) == start else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("folder", type=Path, help="state of the cluster; a short path")
    options = parser.parse_args()
    cluster = Cluster(options.folder, die_with_parent=False)
    if options.action == "down":
        cluster.stop()
        return
    cluster.stop()
    try:
        cluster.start()
    except BaseException:
        cluster.stop()
        raise
    print(f"up: . {cluster.base}/env.sh && sinfo")


if __name__ == "__main__":
    main()
