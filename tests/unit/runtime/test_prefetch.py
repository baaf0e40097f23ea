"""What is read ahead comes in order and bounded, and no stage's memory grows with the number of images."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fairdream.data.images import encode_png, iter_pngs, merge_shards, write_shard
from fairdream.runtime.prefetch import prefetch


def test_results_come_in_order_and_never_more_than_the_depth_ahead():
    taken, done = [], 0

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    for result in prefetch(lambda number: number * 2, items(), workers=3, depth=4):
        assert result == 2 * done
        done += 1
        assert len(taken) - done <= 4
    assert done == 50


def test_an_error_comes_where_its_result_would_have_and_ends_the_threads():
    before = threading.active_count()

    def fail(number):
        if number == 3:
            raise ValueError("three")
        return number

    found = []
    with pytest.raises(ValueError, match="three"):
        found.extend(prefetch(fail, range(100), workers=2, depth=8))
    results = prefetch(fail, range(100), workers=2, depth=8)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert threading.active_count() == before


def shard_rows(start: int, count: int) -> list[dict]:
    image = encode_png(Image.new("RGB", (4, 4)))
    return [{"id": f"a-x/s/{n:06d}", "image": image, "group": "a-x", "redraws": n % 2} for n in range(start, count)]


def test_shards_merged_a_piece_at_a_time_are_the_file_that_all_rows_make(tmp_path):
    bounds = [0, 64, 70, 230, 257]
    parts = []
    for start, stop in itertools.pairwise(bounds):
        parts.append(tmp_path / f"{start}.parquet")
        write_shard(parts[-1], shard_rows(start, stop), {})
    merge_shards(parts, tmp_path / "merged.parquet", {"redrawn": "1"})
    write_shard(tmp_path / "whole.parquet", shard_rows(0, 257), {"redrawn": "1"})
    merged, whole = (pq.ParquetFile(tmp_path / f"{name}.parquet") for name in ("merged", "whole"))
    assert merged.read().equals(whole.read())
    assert merged.schema_arrow.metadata == whole.schema_arrow.metadata
    assert merged.num_row_groups == whole.num_row_groups == 3
    assert [name for name, _ in iter_pngs(tmp_path / "merged.parquet")] == [row["id"] for row in shard_rows(0, 257)]


def test_decoded_images_are_read_back_in_any_order(tmp_path):
    pytest.importorskip("torch")
    from fairdream.data.pixels import Pixels

    values = np.random.default_rng(0).integers(0, 256, (7, 3, 5, 5), np.uint8)
    pixels = Pixels(tmp_path / "pixels", 7, 5)
    for row in (3, 0, 6, 1, 2, 5, 4):
        pixels[row] = values[row]
    order = np.array([5, 0, 5, 2])
    assert np.array_equal(pixels[:], values)
    assert np.array_equal(pixels[2], values[2])
    assert np.array_equal(pixels[order], values[order])
    some = pixels.subset(order)
    assert some.shape == (4, 3, 5, 5)
    assert np.array_equal(some[1:3], values[order][1:3])
    with pytest.raises(IndexError):
        pixels[np.array([7])]


@pytest.mark.parametrize("size", [(37, 90), (64, 64), (200, 31)])
def test_clip_sees_the_pixels_that_open_clip_s_own_transform_makes(size):
    torch = pytest.importorskip("torch")
    from fairdream.config.models import ClipModel
    from fairdream.models.clip import Clip

    clip = Clip(ClipModel(name="local-dir:resources/tiny-clip", pretrained=None), "")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    found = clip.to_input(np.stack([np.asarray(clip.resize(image))]))
    assert torch.equal(found[0], clip.preprocess(image))
    # and batches of any size, read ahead, give each image its own embedding
    images = [Image.fromarray(np.full((9, 9, 3), value, np.uint8)) for value in (0, 90, 200, 255, 30)]
    each = np.concatenate([clip.embed_images(lambda i: i, [i], 1, 1) for i in images])
    assert clip.embed_images(lambda i: i, iter(images), 5, 2) == pytest.approx(each, abs=1e-5)


PEAK = """
    import resource, sys
    from fairdream.config.models import EncoderModel
    from fairdream.classification.pretrain import PretrainJob, pretrain

    folder = sys.argv[1]
    config = PretrainJob(
        learning_rate=0.1, weight_decay=0.0, momentum=0.0, batch_size=4, steps=1, beta=1.0, temperature=1.0,
        image_size=256, crop_scale=1.0, flip=False, encoder=EncoderModel(name="small_cnn"), labels=["a", "b"],
        batches="all", checkpoints=[], gdro=None, jtt=None,
    )
    pretrain(f"{folder}/selected.parquet", None, f"{folder}/e.json", f"{folder}/s.safetensors", 0, "code", config)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


def test_the_memory_of_stage_one_does_not_grow_with_the_number_of_images(tmp_path):
    """400 images more are 79 MB of decoded pixels and 80 MB of files; the peak may differ by a third of one of them."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    png = encode_png(Image.fromarray(noise))
    (tmp_path / "e.json").write_text(json.dumps({"path": "", "files": {}}))
    peaks = []
    for shards in (1, 5):
        rows = []
        for shard in range(shards):
            path = str(tmp_path / f"{shard}.parquet")
            names = [f"{'ab'[n % 2]}-x/s/{shard:03d}{n:03d}" for n in range(100)]
            write_shard(path, [{"id": name, "image": png} for name in names], {})
            rows += [{"id": name, "shard": path, "group": name.split("/")[0]} for name in names]
        pd.DataFrame(rows).to_parquet(tmp_path / "selected.parquet")
        command = [sys.executable, "-c", textwrap.dedent(PEAK), str(tmp_path)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        peaks.append(float(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 27, peaks
