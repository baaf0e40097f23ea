"""A UNet is compiled where the environment says so, for the sizes of batch that it often sees."""

import pytest

torch = pytest.importorskip("torch")

from fairdream.models import compile  # noqa: E402


@pytest.fixture
def graphs(monkeypatch):
    """The sizes of the batches that compiled code gets from now on."""
    sizes = []

    def compile_(function, dynamic):
        assert dynamic is False
        return lambda sample: sizes.append(len(sample)) or function(sample)

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(compile, "RARE", 2)
    return sizes


def passes(*sizes):
    """Send batches through a layer that is compiled if that is wanted; check what comes back."""
    layer = torch.nn.Conv2d(3, 4, 3)
    expected = [layer(torch.ones(size, 3, 4, 4)) for size in sizes]
    compile.compile_if_wanted(layer)
    for size, output in zip(sizes, expected, strict=True):
        torch.testing.assert_close(layer(torch.ones(size, 3, 4, 4)), output)


def test_a_size_of_batch_is_compiled_when_it_has_come_often(graphs, monkeypatch):
    monkeypatch.setenv("FAIRDREAM_COMPILE", "1")
    passes(8, 8, 8, 8, 5, 8, 5, 1, 5)
    assert graphs == [8, 8, 8, 5]


@pytest.mark.parametrize("off", ["", "0", None])
def test_nothing_is_compiled_unless_told(graphs, monkeypatch, off):
    if off is None:
        monkeypatch.delenv("FAIRDREAM_COMPILE", raising=False)
    else:
        monkeypatch.setenv("FAIRDREAM_COMPILE", off)
    passes(8, 8, 8, 8)
    assert graphs == []
