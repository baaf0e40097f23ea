"""What SLURM's executor refuses to submit: found at the start where it can be, told of where it cannot.

The executor (2.8.0) tells of a job whose submission fails by the name of its rule. A group of jobs has none: so the
handler fails as well, in a thread that nobody looks at, and the run waits for ever for what was never submitted. And of
a group that failed, in whichever way, Snakemake (9.27.1) does not say what the executor says of it.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterable
from typing import Any

from fairdream.errors import UserError
from fairdream.runtime.repairs import repair

PLUGIN = "snakemake_executor_plugin_slurm"
ADVICE = (
    "gpu_model takes letters, digits, _ and . alone. Cards whose name has a hyphen are asked for by a feature of their "
    "nodes, in the place of gpu_model: `constraint: FEATURE`; `sinfo -o '%G %f'` shows cards and features."
)


@repair(
    "groups that are not submitted",
    {
        f"{PLUGIN}:Executor.run_job": "d8a8af5d4605ef7c",
        f"{PLUGIN}:Executor.print_job_error": "f40e1486e4cf13f5",
        "snakemake.jobs:GroupJob.log_error": "06f181dd9ac4df69",
    },
)
def mend_submission() -> None:
    """Let a group whose submission fails count as failed, as a job does, and let it be told why."""
    plugin: Any = importlib.import_module(PLUGIN)
    submit: Any = plugin.Executor.run_job
    tell: Any = plugin.Executor.print_job_error

    def run_job(executor: Any, job: Any) -> None:
        try:
            submit(executor, job)
        except Exception as error:
            cause = error.__context__ or error  # what the handler did not come to tell
            executor._report_job_error_threadsafe(plugin.SubmittedJobInfo(job), f"It was not submitted: {cause}\n")

    def print_job_error(executor: Any, submitted: Any, msg: str | None = None, **kwargs: Any) -> None:
        if msg and submitted.job.is_group():
            executor.logger.error(f"Group {submitted.job.groupid}: {msg}")
        tell(executor, submitted, msg, **kwargs)

    plugin.Executor.run_job = run_job
    plugin.Executor.print_job_error = print_job_error


def check(jobs: Iterable[Any]) -> None:
    """Look at what the rules of a run ask SLURM for, one job of each.

    Raises
    ------
    UserError
        Names the rule, the value and what to write, or the program that is missing.
    """
    for job in {job.rule.name: job for job in jobs if not job.is_local}.values():
        _check_request(job)
        account = job.resources.get("slurm_account")
        program = "sacctmgr" if account else "sacct"
        if shutil.which(program) is None:
            asked = f"whether slurm_account {account} is yours" if account else "for your account"
            unnamed = not account and shutil.which("sacctmgr")
            named = ", or name the account: slurm_account under default-resources" if unnamed else ""
            raise UserError(
                f"{program} is not found on this machine, and SLURM's executor asks it {asked}. Start the run where "
                f"SLURM's programs are{named}"
            )


def _check_request(job: Any) -> None:
    from snakemake_executor_plugin_slurm.utils import set_gres_string
    from snakemake_executor_plugin_slurm.validation import validate_slurm_extra
    from snakemake_interface_common.exceptions import WorkflowError

    for look, names in ((set_gres_string, ("gpu_model", "gres")), (validate_slurm_extra, ("slurm_extra",))):
        try:
            look(job)
        except (WorkflowError, TypeError) as error:
            values = {name: job.resources.get(name) for name in names}
            asked = ", ".join(f"{name}: {value}" for name, value in values.items() if value is not None)
            raise UserError(
                f"SLURM's executor does not submit {job.rule.name} with {asked}: {error}\n{ADVICE}"
            ) from None
