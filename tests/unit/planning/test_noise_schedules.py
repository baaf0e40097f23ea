"""Timesteps and noise levels are those of diffusers; what would begin without noise is refused before any job."""

import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from diffusers.utils import logging  # noqa: E402

from fairdream.config.root import Config, validate_config  # noqa: E402
from fairdream.diffusion.pipeline import GenerateJob, check_first_step  # noqa: E402
from fairdream.errors import UserError  # noqa: E402
from fairdream.planning import noise_schedules as schedules  # noqa: E402
from fairdream.planning import params, stage_params  # noqa: E402
from fairdream.planning.noise_schedules import Schedule  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
TINY = json.loads((ROOT / "resources/tiny-sd/scheduler/scheduler_config.json").read_text())
MODELS = {
    "SD 1": schedules.SD,
    "SDXL": schedules.SDXL,
    "tiny-sd": TINY,
    "another": {"num_train_timesteps": 400, "beta_start": 0.0002, "beta_end": 0.03, "steps_offset": 0},
    "cosine": {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"},
}
# numbers of every size, before and after a divisor of 1000, and some that trailing spacing gets wrong
STEPS = [1, 2, 3, 4, 7, 8, 10, 19, 20, 33, 50, 51, 61, 99, 103, 251, 333, 334, 500, 501, 769, 998, 999, 1000]
# schedulers that search the noise level of each step are slow
FEW = [1, 2, 3, 8, 20, 61, 103]
ALL_NAMES = sorted(set(re.findall(r'"(\w+Scheduler)"', Path(diffusers.__file__).read_text())))


@pytest.fixture(autouse=True)
def quiet():
    logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def made(name: str, model: dict, spacing: str | None = None) -> Any:
    """A scheduler of diffusers, made from a base model's configuration as the job makes it."""
    more = {"timestep_spacing": spacing} if spacing else {}
    return getattr(diffusers, name).from_config(dict(model), **more)


def config(**generate: Any) -> Config:
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    raw["generate"].update(generate)
    return validate_config(raw)


def job(scheduler: str, steps: int, **values: Any) -> GenerateJob:
    own = {"prompts": ["a"], "negative_prompt": "", "guidance_scale": 1.0, "adapter_scale": 1.0, "max_redraws": 1}
    return GenerateJob(**own, seed=0, scheduler=scheduler, num_inference_steps=steps, **values)


def drawn(scheduler: Any, steps: int) -> torch.Tensor:
    """What a scheduler draws with a network that has learnt images whose values are normal, 0.5 +- 0.5."""
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 32, 32, generator=generator) * scheduler.init_noise_sigma
    more = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    levels = Schedule("DDIMScheduler", schedules.SD).signal_levels
    for t in scheduler.timesteps:
        given = scheduler.scale_model_input(x, t)
        signal = levels[int(t)]
        noise = (given - 0.5 * signal) * (1 - signal**2) ** 0.5 / (0.25 * signal**2 + 1 - signal**2)
        x = scheduler.step(noise, t, x, **more, return_dict=False)[0]
    return x


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", schedules.SCHEDULERS)
def test_the_timesteps_are_diffusers_own(name, model):
    for asked in (None, *schedules.SPACINGS) if schedules.SCHEDULERS[name].heard else (None,):
        schedule, scheduler = Schedule(name, MODELS[model], asked), made(name, MODELS[model], asked)
        for steps in FEW if name.startswith("KDPM2") else STEPS:
            if not schedule.limits[0] <= steps <= schedule.limits[1]:
                continue
            mine = schedule.timesteps(steps)
            try:
                scheduler.set_timesteps(steps)
            except (IndexError, AssertionError):  # it looks up the noise of a timestep that is none
                assert schedule.fault(steps)
                continue
            theirs = scheduler.timesteps.double().tolist()
            if name == "PNDMScheduler":
                theirs = [t for t in dict.fromkeys(theirs) if t in mine]  # it asks twice, and between two timesteps
            elif scheduler.order == 2:
                assert len(theirs) == 2 * len(mine) - 1
                theirs = theirs[::2]
            assert theirs == pytest.approx(mine, abs=1e-3), (asked, steps)


@pytest.mark.parametrize("spacing", schedules.SPACINGS)
def test_every_number_of_steps_is_as_diffusers_has_it(spacing):
    for name in ("DDIMScheduler", "DEISMultistepScheduler"):
        schedule, scheduler = Schedule(name, schedules.SD, spacing), made(name, schedules.SD, spacing)
        for steps in range(1, 1000):
            scheduler.set_timesteps(steps)
            assert scheduler.timesteps.tolist() == schedule.timesteps(steps), steps


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_the_noise_levels_are_diffusers_own(model, zero_snr):
    values = MODELS[model] | {"rescale_betas_zero_snr": zero_snr}
    levels = made("DDIMScheduler", values).alphas_cumprod.sqrt().tolist()
    assert Schedule("DDIMScheduler", values).signal_levels == pytest.approx(levels, abs=1e-5)


def test_betas_of_the_model_s_own_are_taken():
    values = {"num_train_timesteps": 3, "trained_betas": [0.1, 0.2, 0.9]}
    levels = made("DDIMScheduler", values).alphas_cumprod.sqrt().tolist()
    assert Schedule("DDIMScheduler", values).signal_levels == pytest.approx(levels)


@pytest.mark.parametrize("name", schedules.SCHEDULERS)
def test_the_job_s_own_look_refuses_what_was_refused_before(name):
    """The job goes by the real scheduler; two steps at one timestep it leaves to the start of a run."""
    for spacing in (None, *schedules.SPACINGS) if schedules.SCHEDULERS[name].heard else (None,):
        schedule, scheduler = Schedule(name, TINY, spacing), made(name, TINY, spacing)
        for steps in FEW if name.startswith("KDPM2") else STEPS:
            fault, refused = schedule.fault(steps), ""
            try:
                check_first_step(scheduler, job(name, steps))
            except UserError as error:
                refused = str(error)
            if fault is None or "the same timestep" not in fault:
                assert bool(fault) == bool(refused), (spacing, steps, fault, refused)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_the_schedulers_of_the_table_draw_what_was_learnt_and_no_other_does(name):
    try:
        values = drawn(made(name, schedules.SD), 40)
    except Exception:  # whatever it lacks: a library, an argument, an attribute
        assert name not in schedules.SCHEDULERS
        return
    assert bool(abs(values.mean() - 0.5) < 0.1 and 0.2 < values.std() < 0.6) == (name in schedules.SCHEDULERS)


def test_the_schedulers_of_the_table_draw_with_the_embedded_model():
    torch.set_num_threads(1)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(ROOT / "resources/tiny-sd", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    model = pipeline.scheduler.config
    for name in schedules.SCHEDULERS.keys() - {"LCMScheduler"}:  # which is for models that were distilled for it
        pipeline.scheduler = getattr(diffusers, name).from_config(model)
        seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
        images = pipeline(
            ["photo of a even digit on land"] * 2, None, None, 12, generator=seeds, output_type="np"
        ).images
        assert abs(images.mean() - 0.5) < 0.1, name
        assert images.std() > 0.15, name


@pytest.mark.parametrize(("steps", "first"), [(251, 751), (334, 667), (501, 501)])
@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "PNDMScheduler"])
def test_steps_that_skip_the_noise_are_refused_with_a_way_out(name, steps, first):
    with pytest.raises(UserError) as error:
        schedules.check_steps(config(scheduler=name, num_inference_steps=steps))
    message = str(error.value)
    assert f"begin at timestep {first}" in message
    near = [int(number) for number in re.findall(r"take (\d+)", message)]
    assert near[0] < steps < near[1]
    for number in near:
        schedules.check_steps(config(scheduler=name, num_inference_steps=number))
    for spacing in ("trailing", "linspace"):
        assert f"timestep_spacing: {spacing}" in message
        schedules.check_steps(config(scheduler=name, num_inference_steps=steps, timestep_spacing=spacing))


def test_1000_steps_in_leading_spacing_have_one_that_the_base_model_does_not_know():
    with pytest.raises(UserError, match=r"begin at timestep 1000, and the base model's last is 999; take 999, or"):
        schedules.check_steps(config(num_inference_steps=1000))


def test_trailing_spacing_that_makes_a_timestep_too_many_is_refused():
    with pytest.raises(UserError, match=r"diffusers makes 62 of them, the last at timestep -1; take 60, or take 62"):
        schedules.check_steps(config(num_inference_steps=61, timestep_spacing="trailing"))


def test_two_steps_at_one_timestep_are_refused_as_nan_would_be_drawn():
    assert torch.isnan(drawn(made("DEISMultistepScheduler", schedules.SD), 1000)).all()
    with pytest.raises(UserError, match="at the same timestep"):
        schedules.check_steps(config(scheduler="DEISMultistepScheduler", num_inference_steps=1000))


def test_numbers_beyond_what_a_scheduler_takes_are_refused():
    for name, steps, words in (
        ("DDIMScheduler", 1001, "it takes 1 to 1000; take 999$"),
        ("LCMScheduler", 51, "it takes 1 to 50; take 50"),
    ):
        with pytest.raises(UserError, match=words):
            schedules.check_steps(config(scheduler=name, num_inference_steps=steps))
    assert Schedule("PNDMScheduler", TINY).fault(3), "Runge-Kutta steps, which Stable Diffusion's file leaves out"
    assert Schedule("PNDMScheduler", TINY, "trailing").fault(4) is None


def test_a_spacing_that_a_scheduler_does_not_hear_is_refused():
    with pytest.raises(UserError, match=r"generate\.timestep_spacing: LCMScheduler does not listen to it"):
        schedules.check_steps(config(scheduler="LCMScheduler", num_inference_steps=4, timestep_spacing="trailing"))


def test_the_file_of_a_model_that_is_here_counts(tmp_path):
    def check(model: str, **values: Any) -> None:
        (tmp_path / "scheduler").mkdir(exist_ok=True)
        (tmp_path / "scheduler/scheduler_config.json").write_text(model)
        raw = yaml.safe_load((ROOT / "config.yaml").read_text())
        raw["models"]["diffusion"] = {"id": str(tmp_path)}
        raw["generate"].update(values)
        schedules.check_steps(validate_config(raw))

    check(json.dumps(TINY | {"timestep_spacing": "trailing"}), num_inference_steps=501)
    with pytest.raises(UserError, match="leading spacing"):
        check(json.dumps(TINY), num_inference_steps=501, scheduler="EulerDiscreteScheduler")
    # other noise levels in the place of those that are spaced: left to the job
    check(json.dumps(TINY | {"use_karras_sigmas": True}), num_inference_steps=501, scheduler="EulerDiscreteScheduler")
    damaged = {
        "{": "",
        "[]": "the file: ",
        '{"num_train_timesteps": "1000"}': "num_train_timesteps: ",
        '{"steps_offset": null}': "steps_offset: ",
        '{"beta_end": "0.012"}': "beta_end: ",
        '{"trained_betas": [0.1, 0.2]}': "trained_betas: 2 values for 1000 timesteps",
    }
    for text, key in damaged.items():
        with pytest.raises(UserError, match=f"cannot be read as a scheduler's configuration: {key}"):
            check(text)
    zero_snr = json.dumps(TINY | {"rescale_betas_zero_snr": True})
    check(zero_snr, num_inference_steps=50)
    with pytest.raises(
        UserError, match=r"HeunDiscreteScheduler does not listen to rescale_betas_zero_snr.*DDIMScheduler"
    ):
        check(zero_snr, num_inference_steps=50, scheduler="HeunDiscreteScheduler")


@pytest.mark.parametrize("name", schedules.SCHEDULERS)
def test_what_rescales_its_noise_levels_is_what_has_the_option(name):
    options = inspect.signature(getattr(diffusers, name).__init__).parameters
    assert schedules.SCHEDULERS[name].rescales == ("rescale_betas_zero_snr" in options)


def test_a_model_of_the_hub_is_known_by_its_name_until_it_is_fetched(tmp_path):
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    raw["models"]["folder"] = str(tmp_path)
    raw["generate"] |= {"scheduler": "EulerDiscreteScheduler", "num_inference_steps": 501}
    schedules.check_steps(validate_config(raw))
    raw["models"]["diffusion"]["id"] = "stabilityai/stable-diffusion-xl-base-1.0"
    with pytest.raises(UserError, match="leading spacing"):
        schedules.check_steps(validate_config(raw))
    # as `fetch_model` names it
    folder = tmp_path / f"stabilityai--stable-diffusion-xl-base-1.0--{raw['models']['diffusion']['revision']}/scheduler"
    folder.mkdir(parents=True)
    (folder / "scheduler_config.json").write_text(json.dumps(schedules.SD))
    schedules.check_steps(validate_config(raw))


def test_a_spacing_that_is_not_given_is_none_of_the_jobs_values():
    names = ("waterbirds", "any", "vanilla", "waterbird-land")
    before = params.as_params(stage_params.generate(config(), *names))
    assert "timestep_spacing" not in before
    assert stage_params.generate(config(timestep_spacing="trailing"), *names) == before | {
        "timestep_spacing": "trailing"
    }
