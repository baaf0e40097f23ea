"""Other families of base models: SD 2 (v-prediction), SDXL (two text encoders), and SD v1.4 and CLIP at full size."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

from fairdream.config.models import ClipModel  # noqa: E402
from fairdream.diffusion.finetune import FinetuneJob, finetune  # noqa: E402
from fairdream.diffusion.generate import GenerateJob, generate  # noqa: E402
from fairdream.errors import UserError  # noqa: E402
from fairdream.identity import file_digest  # noqa: E402
from fairdream.models.clip import Clip  # noqa: E402
from fairdream.models.fetch_model import fetch_model  # noqa: E402

TINY = Path(__file__).resolve().parents[3] / "resources/tiny-sd"
pytestmark = pytest.mark.skipif(not TINY.is_dir(), reason="resources/tiny-sd is not there")


def parts():
    """The embedded model's own parts."""
    return diffusers.StableDiffusionPipeline.from_pretrained(TINY, safety_checker=None)


def sdxl(folder: Path) -> None:
    torch.manual_seed(0)
    tiny = parts()
    text = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2}
    text |= {"vocab_size": 605, "max_position_embeddings": 32, "bos_token_id": 603, "eos_token_id": 604}
    text |= {"projection_dim": 32}
    config = transformers.CLIPTextConfig(**text)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,  # 32 pooled + 6 sizes x 8
        cross_attention_dim=64,
    )
    diffusers.StableDiffusionXLPipeline(
        vae=tiny.vae,
        text_encoder=transformers.CLIPTextModel(config),
        text_encoder_2=transformers.CLIPTextModelWithProjection(config),
        tokenizer=tiny.tokenizer,
        tokenizer_2=tiny.tokenizer,
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler.from_config(tiny.scheduler.config),
        add_watermarker=False,
    ).save_pretrained(folder)


def sd2(folder: Path) -> None:
    tiny = parts()
    scheduler = diffusers.DDIMScheduler.from_config(tiny.scheduler.config, prediction_type="v_prediction")
    tiny.scheduler = scheduler
    tiny.save_pretrained(folder)


def sampling(**values) -> GenerateJob:
    own = {
        "prompts": ["photo of a sks digit"],
        "negative_prompt": "",
        "scheduler": "DDIMScheduler",
        "timestep_spacing": "trailing",
        "num_inference_steps": 2,
        "guidance_scale": 2.0,
        "adapter_scale": 1.0,
        "max_redraws": 1,
        "seed": 0,
    }
    return GenerateJob(**{**own, **values})


def train_and_draw(folder: Path, resolution: int, steps: int = 2, layers: tuple[str, ...] = ("to_k", "to_v")) -> tuple:
    """Train an adapter of `folder/model` and draw two images with it and without; return the two shards."""
    fetch_model(str(folder / "diffusion.json"), "diffusion", {"id": str(folder / "model"), "revision": None})
    pixels = np.random.default_rng(0).integers(0, 255, (resolution, resolution, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "0.png")
    images = [{"id": "0.png", "path": str(folder / "0.png"), "sha256": file_digest(folder / "0.png")}]
    (folder / "subject.json").write_text(json.dumps({"subject": "even-land", "group": "even-land", "images": images}))
    adapter = str(folder / "adapter/pytorch_lora_weights.safetensors")
    finetune(
        str(folder / "subject.json"),
        str(folder / "diffusion.json"),
        adapter,
        str(folder / "adapter/history.csv"),
        str(folder / "store"),
        "code",
        FinetuneJob(
            rank=2,
            alpha=2.0,
            target_modules=list(layers),
            resolution=resolution,
            learning_rate=0.05,
            weight_decay=0.0,
            warmup_steps=0,
            max_grad_norm=1.0,
            batch_size=1,
            steps=steps,
            prompt="photo of a sks digit",
            token="sks",
            seed=0,
        ),
    )
    shards = []
    for name, own in (("with", adapter), ("without", None)):
        shard = str(folder / f"{name}.parquet")
        model, store = str(folder / "diffusion.json"), str(folder / "store")
        generate(model, own, shard, store, "code", "even-land", name, "000000-000001", 1, sampling())
        shards.append(pq.read_table(shard).to_pylist())
    return adapter, *shards


@pytest.mark.parametrize("family", [sd2, sdxl])
def test_a_family_is_tuned_and_drawn_and_its_adapter_loads_in_the_stock_pipeline(tmp_path, family):
    family(tmp_path / "model")
    adapter, tuned, plain = train_and_draw(tmp_path, 32)
    assert tuned[0]["image"]["bytes"] != plain[0]["image"]["bytes"]
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "model")
    pipeline.load_lora_weights(adapter)
    assert any("lora" in name for name, _ in pipeline.unet.named_parameters())


@pytest.mark.parametrize("family", [sd2, sdxl])
def test_a_guidance_interval_works_for_a_family(tmp_path, family):
    family(tmp_path / "model")
    fetch_model(str(tmp_path / "diffusion.json"), "diffusion", {"id": str(tmp_path / "model"), "revision": None})
    drawn = {}
    for name, values in {
        "all": {"num_inference_steps": 4},
        "none": {"num_inference_steps": 4, "guidance_scale": 1.0},
        "first": {"num_inference_steps": 4, "guidance_interval": [0.0, 0.5]},
        "last": {"num_inference_steps": 4, "guidance_interval": [0.5, 1.0]},
        "whole": {"num_inference_steps": 4, "guidance_interval": [0.0, 1.0]},
    }.items():
        shard = str(tmp_path / f"{name}.parquet")
        model, store = str(tmp_path / "diffusion.json"), str(tmp_path / "store")
        generate(model, None, shard, store, "code", "even-land", "base", "000000-000002", 2, sampling(**values))
        drawn[name] = pq.read_table(shard)["image"].to_pylist()
    assert drawn["whole"] == drawn["all"]
    assert all(
        drawn[one] != drawn[other] for one in drawn for other in drawn if one < other and "whole" not in (one, other)
    )


def test_another_kind_of_pipeline_is_refused(tmp_path):
    sdxl(tmp_path / "model")
    index = json.loads((tmp_path / "model/model_index.json").read_text())
    index["_class_name"] = "StableDiffusionXLImg2ImgPipeline"
    (tmp_path / "model/model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"StableDiffusionXLImg2ImgPipeline is not of the SD 1, SD 2 or SDXL family"):
        train_and_draw(tmp_path, 32)


def clip_tokenizer(folder: Path):
    """CLIP's own vocabulary, which open_clip ships, as transformers' files."""
    import gzip

    import open_clip
    from open_clip.tokenizer import bytes_to_unicode

    path = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    merges = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(bytes_to_unicode().values())
    words = letters + [f"{letter}</w>" for letter in letters] + ["".join(merge.split()) for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


@pytest.mark.slow
def test_the_full_architecture_of_sd_1_4_at_small_latents(tmp_path):
    """860 million parameters with random weights: one step, saved, loaded by the stock pipeline, drawn."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(tmp_path / "vocabulary")
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    text = transformers.CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=49408
    )
    unet = diffusers.UNet2DConditionModel(sample_size=8, cross_attention_dim=768, attention_head_dim=8)
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964, "the size of SD v1.4's UNet"
    vae = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )
    diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(tmp_path / "model")
    del vae, unet
    _, tuned, plain = train_and_draw(tmp_path, 64, steps=1, layers=("to_k", "to_q", "to_v", "to_out.0"))
    assert tuned[0]["image"]["bytes"] != plain[0]["image"]["bytes"]
    assert Image.open(io.BytesIO(tuned[0]["image"]["bytes"])).size == (64, 64)


@pytest.mark.slow
def test_openai_s_clip_at_full_size_is_what_open_clip_makes_of_its_tag(tmp_path):
    """ViT-L/14 with random weights: QuickGELU and the pixel statistics of OpenAI's weights, from a file."""
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    reference = open_clip.create_model("ViT-L-14-quickgelu")
    reference.eval()
    save_file({k: v.contiguous() for k, v in reference.state_dict().items()}, tmp_path / "clip.safetensors")
    manifest = {"path": str(tmp_path / "clip.safetensors"), "files": {}}
    (tmp_path / "clip.json").write_text(json.dumps(manifest))
    clip = Clip(ClipModel(name="ViT-L-14", pretrained="openai"), str(tmp_path / "clip.json"))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 50, 3), np.uint8))
    found = clip.embed_images(lambda source: source, [image], 1, 1)
    preprocess = open_clip.image_transform(
        224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
    )
    with torch.inference_mode():
        expected = reference.encode_image(preprocess(image)[None], normalize=True).numpy()
        text = reference.encode_text(open_clip.get_tokenizer("ViT-L-14")(["a bird"]), normalize=True).numpy()[0]
    assert found == pytest.approx(expected, abs=1e-5)
    assert clip.embed_text("a bird") == pytest.approx(text, abs=1e-5)
