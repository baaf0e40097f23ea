"""Does drawing begin in noise? The timesteps of diffusers' schedulers, computed without importing diffusers.

Drawing begins with pure noise, so the first timestep has to be one at which the network was trained on nearly nothing
else. Where it is not, the noise is taken for an image with little contrast, and pale images come out without a word.
The job looks at its real scheduler again (`fairdream.diffusion.pipeline`); a test holds what is computed here to
diffusers' own.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, PositiveInt, ValidationError

from fairdream.config.root import Config
from fairdream.diffusion.pipeline import MOST_SIGNAL
from fairdream.errors import UserError

Values = Mapping[str, Any]
SPACINGS = ("leading", "trailing", "linspace")
# What Stable Diffusion's repositories publish as scheduler/scheduler_config.json, where it matters here.
SD = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "skip_prk_steps": True,
}
# SDXL's repositories are known by their names before they are fetched.
SDXL = SD | {"timestep_spacing": "leading"}

# Options of such a file that put other timesteps in the place of the spaced ones.
REPLACED = ("karras_sigmas", "exponential_sigmas", "beta_sigmas", "lu_lambdas", "flow_sigmas")


class Scheduler(NamedTuple):
    """How a scheduler of diffusers places its timesteps.

    Attributes
    ----------
    spacing
        Its own, where neither the configuration nor the base model's file names one.
    heard
        Whether it listens to ``timestep_spacing``.
    grid
        ``"ends"``: the last timestep is at the data's end of the grid. ``"open"``: the grid has a point more, which is
        the finished image. ``"distilled"``: some of the few timesteps that a base model was distilled for.
    sigmas
        Whether it works in noise levels between the timesteps, and so hears ``use_karras_sigmas`` and the like.
    rescales
        Whether it listens to ``rescale_betas_zero_snr``.
    """

    spacing: Literal["leading", "linspace"]
    heard: bool = True
    grid: Literal["ends", "open", "distilled"] = "ends"
    sigmas: bool = True
    rescales: bool = False


# The schedulers that draw with what Stable Diffusion was trained for. Of the others some stop with a traceback, as
# those for flow matching do, and some (EDM's, IPNDM, the consistency models') draw grey images and say nothing.
# LCM's and TCD's are for base models that were distilled for few steps.
SCHEDULERS = {
    "DDIMScheduler": Scheduler("leading", sigmas=False, rescales=True),
    "DDIMParallelScheduler": Scheduler("leading", sigmas=False, rescales=True),
    "DDPMScheduler": Scheduler("leading", sigmas=False, rescales=True),
    "DDPMParallelScheduler": Scheduler("leading", sigmas=False, rescales=True),
    "PNDMScheduler": Scheduler("leading", sigmas=False),
    "DEISMultistepScheduler": Scheduler("linspace", grid="open"),
    "DPMSolverMultistepScheduler": Scheduler("linspace", grid="open", rescales=True),
    "DPMSolverSinglestepScheduler": Scheduler("linspace", heard=False, grid="open"),
    "SASolverScheduler": Scheduler("linspace", grid="open"),
    "UniPCMultistepScheduler": Scheduler("linspace", grid="open", rescales=True),
    "EulerDiscreteScheduler": Scheduler("linspace", rescales=True),
    "EulerAncestralDiscreteScheduler": Scheduler("linspace", rescales=True),
    "HeunDiscreteScheduler": Scheduler("linspace"),
    "KDPM2DiscreteScheduler": Scheduler("linspace"),
    "KDPM2AncestralDiscreteScheduler": Scheduler("linspace"),
    "LMSDiscreteScheduler": Scheduler("linspace"),
    "LCMScheduler": Scheduler("leading", heard=False, grid="distilled", sigmas=False, rescales=True),
    "TCDScheduler": Scheduler("leading", heard=False, grid="distilled", sigmas=False, rescales=True),
}


@dataclass(frozen=True)
class Schedule:
    """A scheduler made from a base model's configuration, as far as its timesteps go.

    Attributes
    ----------
    name
        One of `SCHEDULERS`.
    model
        The base model's scheduler configuration; what it lacks is as in diffusers' classes.
    asked
        The spacing asked for, if one is.
    """

    name: str
    model: Values
    asked: str | None = None

    @property
    def row(self) -> Scheduler:
        """The scheduler's row."""
        return SCHEDULERS[self.name]

    @property
    def total(self) -> int:
        """The number of timesteps that the base model was trained on."""
        return self.model.get("num_train_timesteps", 1000)

    @property
    def spacing(self) -> str:
        """The spacing that is used; ``own`` is linspace on an open grid, or the distillation's."""
        return (self.asked or self.model.get("timestep_spacing") or self.row.spacing) if self.row.heard else "own"

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest number of steps that the scheduler takes."""
        if self.row.grid == "distilled":
            return 1, self.model.get("original_inference_steps", 50)
        runge_kutta = self.name == "PNDMScheduler" and not self.model.get("skip_prk_steps", False)
        return 4 if runge_kutta else 1, self.total

    @property
    def is_known(self) -> bool:
        """Whether the timesteps follow from number and spacing alone; else the job itself looks at what comes."""
        return not (self.row.sigmas and any(self.model.get(f"use_{kind}") for kind in REPLACED))

    @cached_property
    def signal_levels(self) -> list[float]:
        """For each timestep, the share of an image's amplitude that is left in it: sqrt(alpha_bar)."""
        kind, betas = self.model.get("beta_schedule", "linear"), self.model.get("trained_betas")
        if betas is None and kind == "squaredcos_cap_v2":
            cosine = [math.cos((i / self.total + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(self.total + 1)]
            betas = [min(1 - after / before, 0.999) for before, after in itertools.pairwise(cosine)]
        elif betas is None:
            power = 2 if kind == "scaled_linear" else 1
            ends = (self.model.get("beta_start", 0.0001), self.model.get("beta_end", 0.02))
            first, last = (end ** (1 / power) for end in ends)
            betas = [(first + (last - first) * i / (self.total - 1)) ** power for i in range(self.total)]
        alphas = itertools.accumulate((1 - beta for beta in betas), lambda a, b: a * b)
        levels = [math.sqrt(alpha) for alpha in alphas]
        if self.model.get("rescale_betas_zero_snr"):  # Lin et al. 2024, algorithm 1
            return [(level - levels[-1]) * levels[0] / (levels[0] - levels[-1]) for level in levels]
        return levels

    def timesteps(self, steps: int) -> list[float]:
        """Return the timesteps that ``set_timesteps`` gives, falling; of a second-order scheduler each step's first.

        The sums are diffusers' own, in the same order: whether trailing spacing gives a timestep too many is a matter
        of rounding. The spacings' names are from Lin et al. 2024, table 2.
        """
        total, offset = self.total, self.model.get("steps_offset", 0)
        if self.row.grid == "distilled":
            _, trained = self.limits
            return [(trained - math.floor(i * (trained / steps))) * (total // trained) - 1 for i in range(steps)]
        points = steps + (self.row.grid == "open")
        if self.spacing == "leading":
            return [i * (total // points) + offset for i in range(points)][::-1][:steps]
        if self.spacing == "trailing":
            ratio = total / steps
            delta = (total - ratio) - total  # as numpy.arange steps
            return [round(total + i * delta) - 1 for i in range(math.ceil(total / ratio))]
        if points == 1:
            return [0]
        grid = [*(i * ((total - 1) / (points - 1)) for i in range(points - 1)), total - 1]
        between = self.row.sigmas and self.row.grid == "ends"
        return [t if between else round(t) for t in grid][::-1][:steps]

    def fault(self, steps: int) -> str | None:
        """Return what is wrong with a number of steps, if anything is."""
        least, most = self.limits
        if not least <= steps <= most:
            return f"it takes {least} to {most}"
        here, last = self.timesteps(steps), self.total - 1
        if len(here) != steps:
            return f"diffusers makes {len(here)} of them, the last at timestep {here[-1]}"
        if here[0] > last:
            return f"they begin at timestep {here[0]}, and the base model's last is {last}"
        if len(set(here)) < steps:
            return "two of them are at the same timestep"
        level = self.signal_levels[round(here[0])]
        if level > MOST_SIGNAL:
            return (
                f"they begin at timestep {here[0]:.0f}, where {level:.0%} of an image should be left in the noise (at "
                f"most {MOST_SIGNAL:.0%}), so the images would be pale"
            )
        return None

    def around(self, steps: int) -> Iterator[int]:
        """Yield the nearest numbers below and above one with which nothing is wrong."""
        least, most = self.limits
        for numbers in (range(min(steps - 1, most), least - 1, -1), range(steps + 1, most + 1)):
            yield from itertools.islice((number for number in numbers if self.fault(number) is None), 1)


def check_steps(config: Config) -> None:
    """Refuse a scheduler, a spacing or a number of steps with which the images are not what was asked for.

    Raises
    ------
    UserError
        Names the key, the value and what would do.
    """
    name, asked, steps = (
        getattr(config.generate, key) for key in ("scheduler", "timestep_spacing", "num_inference_steps")
    )
    if name not in SCHEDULERS:
        raise UserError(
            f"generate.scheduler: {name} generates nothing usable with a Stable Diffusion; these work: "
            + ", ".join(sorted(SCHEDULERS))
        )
    own = Schedule(name, scheduler_values(config), asked)
    if asked and not own.row.heard:
        raise UserError(
            f"generate.timestep_spacing: {name} does not listen to it ({asked}); remove it or take another scheduler"
        )
    if own.model.get("rescale_betas_zero_snr") and not own.row.rescales:
        raise UserError(
            f"generate.scheduler: {name} does not listen to rescale_betas_zero_snr, with which the base model was "
            f"trained; these do: {', '.join(sorted(other for other, row in SCHEDULERS.items() if row.rescales))}"
        )
    fault = own.fault(steps) if own.is_known else None
    if fault is None:
        return
    ways = [f"take {number}" for number in own.around(steps)]
    if own.row.heard:
        ways += [f"timestep_spacing: {way}" for way in SPACINGS if replace(own, asked=way).fault(steps) is None]
    raise UserError(
        f"generate.num_inference_steps: {steps} steps of {name} ({own.spacing} spacing): {fault}; {', or '.join(ways)}"
    )


class SchedulerFile(BaseModel, strict=True):
    """The types of what is computed with of a ``scheduler_config.json``, which may lack any of it and has more."""

    num_train_timesteps: PositiveInt = 1000
    original_inference_steps: PositiveInt = 50
    steps_offset: int = 0
    skip_prk_steps: bool = False
    beta_start: float = 0.0001
    beta_end: float = 0.02
    trained_betas: list[float] | None = None
    rescale_betas_zero_snr: bool = False


def scheduler_values(config: Config) -> Values:
    """Return the base model's scheduler configuration: its file's where it is here, else what is published.

    Raises
    ------
    UserError
        Where the file is no scheduler's configuration: diffusers would say so in a job, or compute with it.
    """
    file = config.models.diffusion_folder / "scheduler/scheduler_config.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        read = SchedulerFile.model_validate(values)
        if read.trained_betas is not None and len(read.trained_betas) != read.num_train_timesteps:
            raise ValueError(
                f"trained_betas: {len(read.trained_betas)} values for {read.num_train_timesteps} timesteps"
            )
        return values
    except OSError:
        return SDXL if "xl" in config.models.diffusion.id.lower() else SD
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        problem = f"{where}: {first['msg']}, and is {first['input']!r}"
    except ValueError as error:
        problem = str(error)
    raise UserError(f"{file}: cannot be read as a scheduler's configuration: {problem}")
