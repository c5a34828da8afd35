"""Learn one of the lectures' other models, on the same images as GenNet and DesNet.

Example: python Baselines/main.py vae --data_path ~/pictures --category cats
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "GenNet"))

from common import endings  # noqa: E402

if __name__ == "__main__":
    endings.while_loading("Baselines/main.py")

import importlib  # noqa: E402

from common import flags  # noqa: E402
from common.console import say  # noqa: E402
from models import MODELS  # noqa: E402


def make_parser() -> flags.Parser:
    """The command line up to the model; what follows is the model's."""
    parser = flags.Parser("Baselines/main.py", __doc__ or "")
    listed = "; ".join(f"{word}: {named.what}" for word, named in MODELS.items())
    model = flags.choice(list(MODELS))
    parser.add_argument("model", type=model, metavar="MODEL", help=listed)
    parser.epilog = "Baselines/main.py MODEL --help lists the flags of a model."
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = make_parser()
    if not words:
        say(parser.format_help().rstrip())
        return
    word = parser.parse_args(words[:1]).model
    module = importlib.import_module(word)
    module.main(f"{parser.prog} {word}", words[1:])


if __name__ == "__main__":
    main()
