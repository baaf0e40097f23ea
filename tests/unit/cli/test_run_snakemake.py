"""What the commands that run Snakemake in their own process refuse before it begins."""

import pytest

from fairdream.cli.run_snakemake import snakemake
from fairdream.errors import UserError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read the configuration"),
        ("a: [1\nb: 2\n", "this is not valid YAML"),
        ("methods: [erm]\n", "this key is missing"),
    ],
)
def test_a_configuration_that_is_gone_or_wrong_is_named(tmp_path, text, words):
    path = tmp_path / "own.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=words) as error:
        snakemake(["--dry-run", f"--configfile={path}"])
    assert str(path) in str(error.value)
