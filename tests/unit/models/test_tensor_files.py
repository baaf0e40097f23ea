"""A safetensors file of the same content is the same bytes, and its identity is that of its content."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from fairdream.identity import file_digest
from fairdream.models.tensor_files import content_digest, read_metadata, save
from fairdream.runtime.files import is_whole

METADATA = {f"key{number}": f'"é\n\x01\x7f/\\ {number}😀' for number in range(8)} | {"format": "pt", "zä": "", "": "1"}
TENSORS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([[1], [2]], np.uint8),
    "c": np.float16([0.5]),
    "none": np.zeros((0, 4), np.int64),
}


def test_each_save_is_the_same_bytes(tmp_path):
    for number in range(20):
        save(TENSORS, tmp_path / f"{number}.safetensors", METADATA)
    assert len({file_digest(path) for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 20


def test_the_library_reads_what_was_saved(tmp_path):
    path = tmp_path / "folder/a.safetensors"
    save(TENSORS, path, METADATA)
    assert is_whole(path)
    assert read_metadata(path) == METADATA
    with safe_open(path, "np") as file:
        assert file.metadata() == METADATA
        assert set(file.keys()) == set(TENSORS)
        for name, tensor in TENSORS.items():
            assert file.get_tensor(name).dtype == tensor.dtype
            np.testing.assert_array_equal(file.get_tensor(name), tensor)
    save(TENSORS, path)
    assert read_metadata(path) == {}


def test_tensors_of_torch_are_saved_alike(tmp_path):
    torch = pytest.importorskip("torch")
    for number in range(20):
        tensors = {name: torch.from_numpy(tensor) for name, tensor in TENSORS.items()}
        save({**tensors, "half": torch.ones(3, dtype=torch.bfloat16)}, tmp_path / f"{number}.safetensors", METADATA)
    assert len({file_digest(path) for path in tmp_path.iterdir()}) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert file.get_tensor("half").dtype == torch.bfloat16
        assert file.get_tensor("b").tolist() == TENSORS["b"].tolist()


def test_arrays_are_saved_without_torch(tmp_path):
    code = "import sys, numpy; from fairdream.models.tensor_files import *; save({'a': numpy.ones(2)}, sys.argv[1]); "
    code += "content_digest(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.safetensors")], check=True)


def test_the_digest_is_that_of_any_order_of_the_metadata(tmp_path):
    for number in range(20):
        safetensors.numpy.save_file(TENSORS, tmp_path / f"{number}.safetensors", METADATA)
    save(TENSORS, tmp_path / "ours.safetensors", METADATA)
    paths = list(tmp_path.iterdir())
    assert len({content_digest(path) for path in paths}) == 1
    assert len({file_digest(path) for path in paths}) > 1, "the library orders metadata: `tensor_files` may go"


def rewrite(path, target, place):
    """Write a file with its tensors lying in another order."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    parts, at = b"", 0
    own = {"__metadata__": header.pop("__metadata__")}
    for name in sorted(header, key=place):
        start, stop = header[name]["data_offsets"]
        parts += data[start:stop]
        own[name] = {**header[name], "data_offsets": [at, at + stop - start]}
        at += stop - start
    text = json.dumps(own, indent=3).encode()
    target.write_bytes(struct.pack("<Q", len(text)) + text + parts)


def test_the_digest_is_that_of_any_place_of_the_tensors(tmp_path):
    save(TENSORS, tmp_path / "a.safetensors", METADATA)
    rewrite(tmp_path / "a.safetensors", tmp_path / "b.safetensors", lambda name: (len(name), -ord(name[0])))
    assert safetensors.numpy.load_file(tmp_path / "b.safetensors")["b"].tolist() == TENSORS["b"].tolist()
    assert file_digest(tmp_path / "a.safetensors") != file_digest(tmp_path / "b.safetensors")
    assert content_digest(tmp_path / "a.safetensors") == content_digest(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        ({**TENSORS, "a": np.array([[1], [3]], np.uint8)}, METADATA),
        ({**TENSORS, "a": np.array([[1], [2]], np.int8)}, METADATA),
        ({**TENSORS, "a": np.array([[1, 2]], np.uint8)}, METADATA),
        ({**{name: own for name, own in TENSORS.items() if name != "a"}, "d": TENSORS["a"]}, METADATA),
        ({name: own for name, own in TENSORS.items() if name != "none"}, METADATA),
        (TENSORS, {**METADATA, "key1": "other"}),
        (TENSORS, {**METADATA, "key1": METADATA["key2"], "key2": METADATA["key1"]}),
        (TENSORS, None),
    ],
)
def test_other_content_is_another_digest(tmp_path, tensors, metadata):
    save(TENSORS, tmp_path / "a.safetensors", METADATA)
    save(tensors, tmp_path / "b.safetensors", metadata)
    assert content_digest(tmp_path / "a.safetensors") != content_digest(tmp_path / "b.safetensors")


def test_every_file_of_tensors_is_written_by_one_function():
    sources = {path: path.read_text() for path in (Path(__file__).parents[3] / "src").rglob("*.py")}
    assert {path.stem for path, text in sources.items() if "save_file" in text} == {"tensor_files"}
