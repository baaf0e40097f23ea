"""Every path of the GPU benchmark runs, on a CPU with a tiny model."""

import importlib.util
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bench():
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("bench_gpu", ROOT / "bench/gpu.py")
    module = importlib.util.module_from_spec(spec)
    # a dataclass looks its module up
    import sys

    sys.modules["bench_gpu"] = module
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_prints_every_figure(bench, capsys, monkeypatch):
    compiled = []  # which takes minutes
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: compiled.append(function) or function)
    # a new process knows nothing of the line above, nor of this module's name
    monkeypatch.setattr(bench, "in_a_new_process", lambda function, *arguments: function(*arguments))
    bench.main(["--tiny", "--pools", "1", "3", "--repeats", "1", "--compiled", "3"])
    assert len(compiled) == 5  # a pool, a sampler and its job; and the first two once more
    text = capsys.readouterr().out
    for heading in ("## Training", "## Drawing", "## Embedding and scoring"):
        assert heading in text
    for row in (
        r"stock script \| 1",
        r"ours \| 1",
        r"ours \| 3",
        r"stock pipeline \| 2",
        r"ours \| 2",
        r"ours, a job of 8 \| 2",
        r"ours, compiled \| 3",
        r"ours, compiled \| 2",
    ):
        found = re.search(rf"^\| {row} \| ([\d.]+) ", text, re.M)
        assert found, row
        assert float(found[1]) > 0
    assert float(re.search(r"PNG to embedding \| ([\d.]+)", text)[1]) > 0


def test_without_a_gpu_full_size_is_refused(bench, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        bench.main([])
    assert "there is no CUDA GPU" in capsys.readouterr().err


def test_the_operations_of_the_full_unet_are_those_of_sd_1_4(bench, tmp_path):
    """About 0.8 TFLOP an image and forward pass at 512x512 (two operations a multiply-add), on no memory at all."""
    from diffusers import UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        with FlopCounterMode(display=False) as count:
            unet(torch.randn(1, 4, 64, 64), torch.tensor(500), torch.randn(1, 77, 768))
    assert 0.6e12 < count.get_total_flops() < 0.9e12
