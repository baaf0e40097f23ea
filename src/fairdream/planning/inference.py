"""In which ways a data set's attribute can be inferred, and from which texts."""

from __future__ import annotations

from fairdream.config.datasets import UNKNOWN
from fairdream.config.root import Config
from fairdream.data.inferred import LIKE

WORDS, XRM = "words", "xrm"


def words_of(config: Config, dataset: str) -> dict[str, list[str]]:
    """Return the words of each value: those stated for this, or the attributes' own; nothing where none is known."""
    own = config.datasets[dataset]
    if own.inference.words is not None:
        return own.inference.words
    return {} if set(own.attributes) == {UNKNOWN} else {name: [words] for name, words in own.attributes.items()}


def ways(config: Config, dataset: str) -> list[str]:
    """Return the ways that there are for a data set, the better one first: by words where there are any, and XRM."""
    return [WORDS, XRM] if words_of(config, dataset) else [XRM]


def without_attribute(config: Config) -> list[str]:
    """Return a sentence for each data set without an attribute: all that is told of it is of its classes alone."""
    return [
        f"Caution: no image of {dataset} has an attribute, so its groups are its classes and no bias can be seen. "
        "`fairdream infer-attributes` infers one, and writes the configuration to go on with."
        for dataset, own in config.datasets.items()
        if set(own.attributes) == {UNKNOWN}
    ]


def values(config: Config, dataset: str, way: str) -> list[str]:
    """Return the values that an inferred attribute can have."""
    own = config.datasets[dataset]
    return sorted(words_of(config, dataset)) if way == WORDS else sorted(f"{LIKE}{label}" for label in own.labels)


def texts(config: Config, dataset: str) -> dict[str, list[str]]:
    """Return the texts of each value: its words in each template, with the words of each class."""
    own = config.datasets[dataset]
    return {
        value: list(
            dict.fromkeys(
                template.format(label=label, attribute=word)
                for template in own.inference.templates
                for word in several
                for label in own.labels.values()
            )
        )
        for value, several in words_of(config, dataset).items()
    }


def clip_texts(config: Config) -> dict[str, str]:
    """Return the texts of the words that are stated for an inference, each with the key that it comes from."""
    return {
        text: f"datasets.{dataset}.inference: {value}"
        for dataset, own in config.datasets.items()
        if own.inference.words is not None
        for value, several in texts(config, dataset).items()
        for text in several
    }
