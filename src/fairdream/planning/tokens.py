"""Texts that are too long for a text encoder: CLIP's reads 77 tokens, and what stands behind them is lost in silence.

A short text is known to fit by its bytes. Only for a long one is a tokenizer loaded, and with it transformers or torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from fairdream.config.root import Config
from fairdream.errors import UserError
from fairdream.planning import inference, prompts

CLIP_LIMIT = 77  # tokens, start and end included
TOY_VOCABULARY = 5_000  # tokens; OpenAI's CLIP has 49,408


class Tokenizer(NamedTuple):
    """What a text encoder reads.

    Attributes
    ----------
    limit
        Tokens that it reads at most, start and end included.
    encode
        Returns a text's tokens without start and end.
    decode
        Returns the text of tokens.
    """

    limit: int
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]


def check_lengths(config: Config) -> None:
    """Refuse a prompt, a negative prompt or a CLIP text that its encoder would cut.

    Where neither the model nor open_clip is here yet, a long text cannot be measured and is let pass.

    Raises
    ------
    UserError
        Names the key, the text, its length and what would be cut off.
    """
    folder, clip = config.models.diffusion_folder, config.models.clip.name
    for encoder, texts, limit, load in (
        ("the base model's text encoder", prompts.diffusion_texts(config), *_diffusion(folder)),
        (f"CLIP {clip}", prompts.clip_texts(config) | inference.clip_texts(config), *_clip(clip)),
    ):
        long = {text: key for text, key in texts.items() if prompts.most_tokens(text) > limit}
        tokenizer = load() if long else None
        for text, key in long.items():
            if tokenizer is not None and (lost := cut_off(text, tokenizer)):
                tokens = len(tokenizer.encode(text)) + prompts.START_AND_END
                raise UserError(
                    f"{key}: {_ends(text)!r} has {tokens} tokens, and {encoder} reads {tokenizer.limit}: it would "
                    f"cut off {_ends(lost)!r}; shorten it, or the words under labels and attributes that are in it"
                )


def cut_off(text: str, tokenizer: Tokenizer) -> str:
    """Return the end of a text that an encoder does not read; nothing where it reads all of it."""
    return tokenizer.decode(tokenizer.encode(text)[tokenizer.limit - prompts.START_AND_END :]).strip()


def _ends(text: str, length: int = 120) -> str:
    """Return a text, of a long one its beginning and its end."""
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 2 :]}"


def _diffusion(folder: Path) -> tuple[int, Callable[[], Tokenizer | None]]:
    """Return the limit of the base model's text encoder, and what loads its tokenizer."""
    encoder = _read(folder / "text_encoder/config.json")
    limit = min(
        _read(folder / "tokenizer/tokenizer_config.json").get("model_max_length", CLIP_LIMIT),
        encoder.get("max_position_embeddings", CLIP_LIMIT),
    )
    if _stands_in(encoder) or not (folder / "tokenizer").is_dir():
        return CLIP_LIMIT, _clip_s_own

    def load() -> Tokenizer:
        from transformers import CLIPTokenizer

        own = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        return Tokenizer(limit, lambda text: own(text, add_special_tokens=False)["input_ids"], own.decode)

    return limit, load


def _clip(name: str) -> tuple[int, Callable[[], Tokenizer | None]]:
    """Return the limit of a CLIP model's text encoder, and what loads its tokenizer."""
    if name.startswith("local-dir:"):
        text = _read(Path(name.removeprefix("local-dir:"), "open_clip_config.json")).get("model_cfg", {})
    else:
        spec = find_spec("open_clip")
        file = f"model_configs/{name.replace('/', '-')}.json"
        text = _read(Path(spec.origin).parent / file) if spec and spec.origin else {}
    own = text.get("text_cfg", {})
    limit = own.get("context_length", CLIP_LIMIT)
    if _stands_in(own) and name.startswith("local-dir:"):
        return CLIP_LIMIT, _clip_s_own
    if "hf_tokenizer_name" not in own:
        return limit, lambda: _clip_s_own(limit)
    return limit, lambda: _other(name, limit)


def _stands_in(encoder: dict[str, Any]) -> bool:
    """Tell whether an encoder is a toy that stands in for CLIP's, as the embedded ones do in a trial of any data.

    These read some 30 tokens of a vocabulary of few words; what is measured is what the real one would read. Encoders
    that are meant to read may have short texts too: SigLIP's 64 tokens.
    """
    return encoder.get("vocab_size", TOY_VOCABULARY) < TOY_VOCABULARY


def _clip_s_own(limit: int = CLIP_LIMIT) -> Tokenizer | None:
    """Return the tokenizer of OpenAI's CLIP, and so of Stable Diffusion: its vocabulary is in open_clip's package."""
    if find_spec("open_clip") is None:
        return None
    from open_clip.tokenizer import SimpleTokenizer

    own = SimpleTokenizer()
    return Tokenizer(limit, own.encode, own.decode)


def _other(name: str, limit: int) -> Tokenizer | None:
    """Return the tokenizer of a CLIP model that has another one, if it is on this machine."""
    if find_spec("open_clip") is None:
        return None
    import open_clip

    try:
        own = open_clip.get_tokenizer(name, local_files_only=True)
    except (OSError, ValueError):
        return None
    return Tokenizer(
        limit,
        lambda text: own.tokenizer.encode(own.clean_fn(text), add_special_tokens=False),
        own.tokenizer.decode,
    )


def _read(file: Path) -> dict[str, Any]:
    """Return a JSON file's names and values; none where it is not here, or is damaged, which its job tells."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
