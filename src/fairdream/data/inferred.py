"""The names of what is inferred: the ways, and what XRM calls its values."""

WAYS = {"words": "CLIP zero-shot with words", "xrm": "XRM, from class labels alone"}
LIKE = "like_"  # before a class's name: what its images look like by the shortcut
