"""All that is found wrong with a configuration where a run starts: without any data, before the first job.

What needs no library stands in `fairdream.planning.plan`, and is checked wherever the workflow is parsed.
"""

from __future__ import annotations

from fairdream.config import library_names
from fairdream.config.root import Config
from fairdream.planning import borrowed_images, model_folders, noise_schedules, plan, prompts, tokens, validation_images


def check(config: Config) -> None:
    """Stop at the first thing that would end a job, or let it make something else than was asked for.

    Raises
    ------
    UserError
        Names the key, the value and what to do.
    """
    plan.check_plan(config)
    validation_images.check(config)
    borrowed_images.check(config)
    library_names.check_names(config)
    model_folders.check(config)
    noise_schedules.check_steps(config)
    prompts.check_token(config)
    prompts.check_distinct(config)
    tokens.check_lengths(config)
