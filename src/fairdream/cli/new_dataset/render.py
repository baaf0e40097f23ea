"""The text of a configuration for a data set: a section for it among those of another file, with their comments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

HEADER = """\
# yaml-language-server: $schema=schema.json
# {name}: written by `fairdream new-dataset`, yours to edit. All but `results`, `biases` and `datasets` is {base}'s,
# where [ours] marks what the paper does not say (docs/methods.md).
# An edited value reruns only the jobs that use it; `snakemake --configfile=config/{name}.yaml -n` shows which.

# Everything the run writes. Change it to keep two runs apart.
results: results/{name}

"""
BIASES = """\
# "original": the training set as it is. Add ratios such as 0.99 to see how the methods do on a more biased one,
# cut from it: the share of images of each class whose attribute is the one that goes with it.
biases: [original]

"""
SECTION = """\
datasets:
  {name}:
    # Relative to the folder that Snakemake runs in. Change it when the data move.
    folder: {folder}
    # Shown when the folder is not there; the card of an exported classifier quotes it.
    origin: {origin}
{images}    # The table, relative to the folder, and its columns. `check_data` checks them anew after an edit.
    tables:
      - {table}
    # Each class, and each value of the attribute, with its words in the prompts. Stable Diffusion and CLIP go by these
    # words, so write what a caption of the images would say. New words redraw the images.
    labels: {labels}
    attributes: {attributes}
    # What stands for them in the table.
    label_values: {label_values}
    attribute_values: {attribute_values}
{splits}    # Images without an attribute: "error" counts them and stops; "drop" counts them and leaves them out.
    missing_attribute: {missing}
{inference}\
    # Training images of each group (class-attribute), checked against the data: they fix the jobs before any is read.
    # When the data change, `check_data` says what to write. A group with 0 is drawn by the swap.
    train_counts:
{counts}
    # k of Clustered DreamBooth. Without it the paper's rule: a cluster for 20 images of the smallest group, at most 20.
    # clusters: 3
    prompts:
      # Change the form to fit the words: "photo of a {{label}} on {{attribute}}", "photo of a {{attribute}} {{label}}".
      group: photo of a {{label}}, {{attribute}}
      subject: photo of a {{token}} {{label}}
      swapped: photo of a {{label}}, {{attribute}}
      negative: "{{attribute}}"
      clip_label: Photo of a {{label}}
      # FFR's row draws every combination of these words. Give several kinds of each: "sparrow", "wren"; "in a forest".
      ffr:
        template: a photo of a {{label}}, {{attribute}}
        labels: {ffr_labels}
        attributes: {ffr_attributes}

"""
VALUES = "    # The splits' values in the table.\n    split_values: {}\n"
HELD_OUT = """\
    # Splits that the table does not have: shares of each group, by a seeded order. Other shares change train_counts.
    held_out: {}
"""
INFERENCE = """\
    # Words for each value of the unknown attribute, best several: CLIP tells which an image is nearest to. Without any,
    # `fairdream infer-attributes` goes by the class labels alone.
    inference: {}
"""
IMAGES = "    # The folder inside it that the table's paths start from.\n    images: {}\n"


def configuration(base: str, name: str, base_name: str, values: Mapping[str, Any]) -> str:
    """Return the text of a configuration.

    Parameters
    ----------
    base
        Text of the configuration whose other sections are taken, comments and all.
    values
        Keys of the data set's section, as `fairdream.config.datasets.Dataset` has them, without the prompts.
    """
    blocks = _blocks(base)
    blocks["results"] = HEADER.format(name=name, base=base_name)
    blocks["biases"] = BIASES
    blocks["datasets"] = _section(name, values)
    return "".join(blocks.values())


def words(value: str) -> str:
    """Return a guess at the words in prompts of what stands in a table, or of a name."""
    # a hyphen or a point between letters parts words as _ does; one between digits is a number's
    return re.sub(r"[_\s]+|(?<=\w)[-.](?=[^\W\d])|(?<=[^\W\d])[-.](?=\w)", " ", value).strip()


def _blocks(text: str) -> dict[str, str]:
    """Split a configuration by its keys at the left edge; a block begins with the comments right above its key."""
    blocks: dict[str, str] = {}
    waiting, key = "", None
    for line in text.splitlines(keepends=True):
        match = re.match(r"(\w+):", line)
        if match:
            key = match[1]
            blocks[key], waiting = waiting + line, ""
        elif key is None or not line.strip() or line.startswith("#"):
            waiting += line
        else:
            blocks[key] += waiting + line
            waiting = ""
        if not line.strip() and key is not None:
            blocks[key], waiting = blocks[key] + waiting, ""
    return blocks


def _section(name: str, values: Mapping[str, Any]) -> str:
    splits = VALUES.format(_flow(values["split_values"])) if values["split_values"] else ""
    if values["held_out"]:
        splits += HELD_OUT.format(_flow(values["held_out"]))
    labels, attributes = values["labels"], values["attributes"]
    return SECTION.format(
        name=name,
        folder=_flow(values["folder"]),
        origin=_flow(values["origin"]),
        images=IMAGES.format(_flow(values["images"])) if values["images"] else "",
        table=_flow(values["tables"][0]),
        labels=_flow(labels),
        attributes=_flow(attributes),
        label_values=_flow(values["label_values"]),
        attribute_values=_flow(values["attribute_values"]),
        splits=splits,
        missing=values["missing_attribute"],
        inference=INFERENCE.format(_flow({"words": values["inference"]})) if "inference" in values else "",
        counts="\n".join(f"      {_flow(group)}: {count}" for group, count in values["train_counts"].items()),
        ffr_labels=_flow({key: [word] for key, word in labels.items()}),
        ffr_attributes=_flow({key: [word] for key, word in attributes.items()}),
    )


def _flow(value: Any) -> str:
    """Return a value in YAML on one line, quoted where it must be."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()
