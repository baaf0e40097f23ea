"""The plan warns of settings that failed where groups are swapped, and of nothing else."""

from pathlib import Path

import pytest

from fairdream.config.root import load_config
from fairdream.planning.cautions import cautions

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def paper():
    return load_config(ROOT / "config.yaml")


def with_values(config, **sections):
    changed = {name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    return config.model_copy(update=changed)


def test_the_paper_s_values_are_doubted_where_groups_are_swapped(paper):
    (told,) = cautions(paper)
    for words in ("waterbirds, 0.999", "finetune.target_modules", "guidance 7.5 (swap.guidance_scale)"):
        assert words in told
    assert cautions(paper.model_copy(update={"biases": ["original"]})) == []
    assert cautions(paper.model_copy(update={"methods": ["erm", "gdro", "vanilla"]})) == []


def test_each_value_is_doubted_alone(paper):
    layers = {"finetune": {"target_modules": ["conv1", "to_q"]}}
    guidance = {"swap": {"guidance_scale": 1.2}}
    (told,) = cautions(with_values(paper, **layers))
    assert "target_modules" not in told
    assert "guidance 7.5" in told
    (told,) = cautions(with_values(paper, **guidance))
    assert "target_modules" in told
    assert "guidance" not in told
    assert cautions(with_values(paper, **layers, **guidance)) == []


def test_the_demo_is_not_doubted():
    assert cautions(load_config(ROOT / "config/demo.yaml")) == []
