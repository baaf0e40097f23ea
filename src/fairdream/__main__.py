"""What FairDream offers outside the workflow: ``python -m fairdream --help``."""

from __future__ import annotations

import argparse
import sys

from fairdream.errors import UserError
from fairdream.files import remedy


def main() -> int:
    """Run a subcommand and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m fairdream", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    predict = commands.add_parser("predict", help="classify images with an exported classifier")
    predict.add_argument("model", help="an exported folder, or a classifier's .safetensors file")
    predict.add_argument("images", nargs="*", help="image files, and folders that are searched; none: the table's")
    predict.add_argument("--output", help="CSV file; by default the terminal")
    predict.add_argument("--table", help="CSV or Parquet with path, label and attribute: prints group accuracies")
    predict.add_argument("--image-column", default="path", help="its column of paths, if not `path`")
    predict.add_argument("--label-column", default="label", help="its column of classes, if not `label`")
    predict.add_argument("--attribute-column", help="its column of attributes, if not `attribute`")
    onnx = commands.add_parser("onnx", help="write an exported classifier as ONNX; needs onnx and onnxscript")
    onnx.add_argument("model", help="an exported folder")
    onnx.add_argument("--output", help="the file; by default model.onnx in the folder")
    # images may also stand behind an option, which argparse takes for the end of the images
    options, rest = parser.parse_known_args()
    if options.command == "predict":
        options.images += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-") and word != "--"]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if options.command == "onnx":
            from fairdream.to_onnx import to_onnx

            print(to_onnx(options.model, options.output))
            return 0
        if not options.images and not options.table:
            predict.error("give images, folders of them, or a --table that names them")
        from fairdream import predict as command

        columns = command.Columns(options.image_column, options.label_column, options.attribute_column)
        return command.main(options.model, options.images, options.output, options.table, columns)
    except UserError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(remedy(error) or error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
