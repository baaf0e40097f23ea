"""What a job reads that other jobs made, where a pattern of its path does not say it: by configuration and wildcards.

Each function takes the wildcards that it needs; `fairdream.planning.wildcards` hands them over. Those that return a
dictionary name the rule's inputs. Nothing here branches on a method's name.
"""

from __future__ import annotations

from pathlib import Path

from fairdream.config.root import Config
from fairdream.errors import UserError
from fairdream.methods import method_of
from fairdream.planning import inference, plan, stage_params

ADAPTER = "pytorch_lora_weights.safetensors"


def dataset_tables(config: Config, dataset: str) -> list[str]:
    """Return a data set's own tables."""
    own = config.datasets[dataset]
    return [f"{own.folder}/{table.file}" for table in own.tables]


def own_split(config: Config, dataset: str, bias: str) -> dict[str, str]:
    """Return the user's own training set of this bias, where the data set has one."""
    own = config.datasets[dataset].split_at(bias)
    return {"own": f"{config.datasets[dataset].folder}/{own.file}"} if own else {}


def embeddings_if_clustered(config: Config, dataset: str, method: str) -> dict[str, str]:
    """Return the embeddings where the method's subjects are clusters of them."""
    if method_of(method).subjects != "cluster":
        return {}
    return {"embeddings": f"{config.results}/{dataset}/embeddings.safetensors"}


def text_encoder(config: Config, dataset: str, way: str) -> dict[str, str]:
    """Return the CLIP model where an attribute is inferred by words."""
    return {"model": f"{config.models.folder}/clip.json"} if way == inference.WORDS else {}


def adapter_if_any(config: Config, dataset: str, bias: str, method: str, subject: str) -> dict[str, str]:
    """Return the adapter that a subject's images are drawn with, its own method's or another's."""
    if method_of(method).subjects is None:
        return {}
    return {"adapter": f"{config.results}/{dataset}/{bias}/{plan.adapter_method(method)}/adapters/{subject}/{ADAPTER}"}


def images(config: Config, dataset: str, bias: str, method: str) -> list[str]:
    """Return all shards of a method's images."""
    return _shards(config, "images", dataset, bias, method)


def scores(config: Config, dataset: str, bias: str, method: str) -> list[str]:
    """Return the CLIP scores of all shards of a method's images."""
    return _shards(config, "scores", dataset, bias, method)


def _shards(config: Config, kind: str, dataset: str, bias: str, method: str) -> list[str]:
    folder = f"{config.results}/{dataset}/{plan.image_bias(method, bias)}/{method}/{kind}"
    shards = plan.shards(config, dataset, bias, method)
    return [f"{folder}/{own.group}/{own.subject}/{own.name}.parquet" for own in shards]


def scores_if_needed(
    config: Config, dataset: str, bias: str, method: str, selection: str
) -> dict[str, str | list[str]]:
    """Return scores and centroids; a selection by chance or colour, or of all images, needs no CLIP."""
    if stage_params.select(config, dataset, bias, method, selection).get("alpha") is None:
        return {}
    centroids = f"{config.results}/{dataset}/{bias}/centroids.safetensors"
    return {"scores": scores(config, dataset, bias, method), "centroids": centroids}


def selected(config: Config, dataset: str, bias: str, method: str) -> str:
    """Return the images that the method's own row learns from."""
    return _selection(config, dataset, bias, method, method_of(method).selection)


def compared_selections(config: Config, dataset: str, bias: str) -> list[str]:
    """Return the selections that are shown side by side, one a method."""
    return [_selection(config, dataset, bias, method, "clip") for method in plan.compared_methods(config)]


def _selection(config: Config, dataset: str, bias: str, method: str, selection: str) -> str:
    name = plan.selection_of(config, selection)
    return f"{config.results}/{dataset}/{bias}/{method}/selected/{name}.parquet"


def stage1_images(config: Config, dataset: str, bias: str, method: str, selection: str) -> dict[str, str]:
    """Return the selection of synthetic images, or the real training set."""
    if method_of(method).synthetic:
        return {"selected": f"{config.results}/{dataset}/{bias}/{method}/selected/{selection}.parquet"}
    return {"split": _split(config, dataset, bias, method)}


def stage2_images(config: Config, dataset: str, bias: str, method: str, recipe: str) -> dict[str, str]:
    """Return the real images, and the synthetic ones that the recipe learns from."""
    real = {"split": _split(config, dataset, bias, method)}
    if recipe != "dfr_synthetic":
        return real
    return {**real, "selected": selected(config, dataset, bias, config.baselines.dfr_synthetic.images_of)}


def _split(config: Config, dataset: str, bias: str, method: str) -> str:
    """Return the training set, with a part of it held back where the method's stage 1 does not see all."""
    folder = f"{config.results}/{dataset}/{bias}"
    return f"{folder}/{method}/split.parquet" if method_of(method).holds_back else f"{folder}/split.parquet"


def row_classifiers(config: Config, dataset: str, bias: str, method: str) -> dict[str, list[str]]:
    """Return a row's classifiers, one a seed, of the first generation of images."""
    own = plan.classifiers(config, method)[0]
    paths = [f"{config.results}/{own.path(dataset, bias, seed)}" for seed in config.seeds]
    return {"weights": [f"{path}.safetensors" for path in paths], "metrics": [f"{path}.metrics.json" for path in paths]}


def own_adapters(config: Config, dataset: str, bias: str, method: str) -> list[str]:
    """Return a method's own adapters.

    Raises
    ------
    UserError
        The method has none, or draws from another's, which is named.
    """
    row, own = method_of(method), plan.adapter_method(method)
    if row.subjects is None or own != method:
        whose = f", but those of {own}" if row.subjects else ""
        raise UserError(f"{method} has no adapters of its own{whose}.")
    subjects = {shard.subject for shard in plan.shards(config, dataset, bias, method)}
    folder = f"{config.results}/{dataset}/{bias}/{method}/adapters"
    return [f"{folder}/{subject}/{ADAPTER}" for subject in sorted(subjects)]


def histories(config: Config, dataset: str, bias: str, method: str) -> list[str]:
    """Return what the training of each of a method's own adapters told."""
    return [str(Path(path).with_name("history.csv")) for path in own_adapters(config, dataset, bias, method)]


def images_beside_card(config: Config, dataset: str, bias: str, method: str) -> list[str]:
    """Return a method's images, for the card that lies above their folder.

    Raises
    ------
    UserError
        The method draws none, or they lie in another folder, whose card is named.
    """
    if not method_of(method).synthetic:
        raise UserError(f"{method} generates no images.")
    there = plan.image_bias(method, bias)
    if there != bias:
        card = f"{config.results}/{dataset}/{there}/{method}/README.md"
        raise UserError(f"The images of {method} serve all biases: ask for {card}")
    return images(config, dataset, bias, method)
