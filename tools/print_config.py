"""Print a config with everything it inherits.

Example:
    python tools/print_config.py configs/textrecog/lpv/lpv-tiny_stage1_10e_st_mj.py
    python tools/print_config.py CONFIG --cfg-options train_cfg.max_iters=1000 --save whole.py
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from lpv_mmocr_cli import add_config_options, new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add_config_options(parser)
    parser.add_argument("--save", metavar="FILE.py", help="also write the config to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.atomic_files import write_file

from mmengine.config import Config

ENDINGS = (".py", ".json", ".yaml", ".yml")


def save(cfg: Config, path: Path) -> None:
    """Write a config in the format of the file's suffix; on an error, an existing file is kept."""
    with TemporaryDirectory() as folder:
        draft = Path(folder, f"config{path.suffix}")
        cfg.dump(draft)
        write_file(path, draft.read_bytes())


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        if args.save:
            if not args.save.endswith(ENDINGS):  # MMEngine does not know them in upper case
                raise cli.InputError(
                    f"--save {args.save}: the file's name must end in {', '.join(ENDINGS)}"
                )
            cli.require_new_file(args.save, "--save")
        with redirect_stdout(sys.stderr):  # what MMEngine logs meanwhile is not part of the config
            cfg = cli.load_config(args.config, args.cfg_options)
        if args.save:
            save(cfg, Path(args.save))
        print(cfg.pretty_text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
