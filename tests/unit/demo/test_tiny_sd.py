import random
from pathlib import Path

import pytest
import torch

from fairdream.demo.captions import WORDS, caption, load_tokenizer, write_tokenizer
from fairdream.demo.rendered import Renderer

RESOURCES = Path(__file__).parents[3] / "resources"
TINY_SD, TINY_CLIP = RESOURCES / "tiny-sd", RESOURCES / "tiny-clip"


@pytest.fixture(scope="module")
def pipeline():
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(TINY_SD)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_stock_pipeline_samples_in_single_precision(pipeline):
    assert {model.dtype for model in (pipeline.unet, pipeline.vae, pipeline.text_encoder)} == {torch.float32}

    def draw(prompt, seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.from_numpy(pipeline(prompt, num_inference_steps=4, generator=generator, output_type="np").images)

    first = draw("photo of an even digit on water", 0)
    assert first.shape == (1, 32, 32, 3)
    assert first.std() > 0.02
    assert torch.equal(first, draw("photo of an even digit on water", 0))
    assert (first - draw("photo of an even digit on water", 1)).abs().mean() > 0.02
    assert (first - draw("photo of an even digit on land", 0)).abs().mean() > 0.02


def test_every_word_of_the_prompts_is_one_token(pipeline):
    assert len(pipeline.tokenizer.tokenize("photo of a sks even digit on water")) == 8
    assert [word for word in WORDS if len(pipeline.tokenizer.tokenize(word)) != 1] == []


def test_unknown_words_are_spelled_and_capitals_do_not_matter(tmp_path):
    write_tokenizer(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.tokenize("zorb") == ["z", "o", "r", "b</w>"]
    assert tokenizer("Photo of a Seven").input_ids == tokenizer("photo of a seven").input_ids


def test_latents_have_unit_deviation(pipeline):
    images = Renderer(7).draw(300).images.float() / 127.5 - 1
    with torch.no_grad():
        latents = pipeline.vae.encode(images).latent_dist.mean * pipeline.vae.config.scaling_factor
        images_again = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.15
    assert (images_again - images).square().mean().sqrt() < 0.2


def test_rendering_is_seeded_and_backgrounds_differ_in_hue():
    one, again, other = Renderer(3).draw(400), Renderer(3).draw(400), Renderer(4).draw(400)
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
    red, _, blue = one.images.float().mean((2, 3)).unbind(1)
    assert (((blue > red) == one.water).float().mean()) > 0.9


def test_captions_name_class_and_background():
    captions = [caption(4, True, random.Random(seed)) for seed in range(300)]
    assert "photo of an even digit on water" in captions
    assert not any("odd" in text or "land" in text for text in captions)


def test_open_clip_loads_its_folder():
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{TINY_CLIP}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{TINY_CLIP}")
    model.eval()
    drawn = Renderer(11).draw(200)
    from PIL import Image

    images = torch.stack([preprocess(Image.fromarray(image)) for image in drawn.images.permute(0, 2, 3, 1).numpy()])
    with torch.no_grad():
        pictures = model.encode_image(images, normalize=True)
        places = model.encode_text(tokenizer(["on land", "on water"]), normalize=True)
        parities = model.encode_text(tokenizer(["Photo of an even digit", "Photo of an odd digit"]), normalize=True)
    assert ((pictures @ places.T).argmax(1) == drawn.water.long()).float().mean() > 0.9
    assert ((pictures @ parities.T).argmax(1) == drawn.digits % 2).float().mean() > 0.9


def test_the_folders_stay_small_and_have_cards():
    files = [path for folder in (TINY_SD, TINY_CLIP) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 16e6
    assert (TINY_SD / "README.md").is_file()
    assert (TINY_CLIP / "README.md").is_file()
