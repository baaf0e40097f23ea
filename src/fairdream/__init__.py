"""FairDream: fair image classifiers from group-balanced images of a fine-tuned Stable Diffusion.

The package is the library behind the Snakemake workflow: one module per stage. Stages never import each other, because
a change in one module makes every stage that imports it run again.
"""

__version__ = "0.1.0"
