"""Print a config with everything it inherits.

Example:
    python tools/print_config.py configs/textrecog/lpv/lpv-tiny_stage1_10e_st_mj.py
    python tools/print_config.py CONFIG --cfg-options train_cfg.max_iters=1000 --save whole.py
"""

from __future__ import annotations

import argparse

from lpv_mmocr_cli import add_config_options, new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add_config_options(parser)
    parser.add_argument("--save", metavar="FILE.py", help="also write the config to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli

ENDINGS = (".py", ".json", ".yaml", ".yml")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        if args.save:
            if not args.save.endswith(ENDINGS):  # MMEngine does not know them in upper case
                raise cli.InputError(
                    f"--save {args.save}: the file's name must end in {', '.join(ENDINGS)}"
                )
            cli.require_new_file(args.save, "--save")
        cfg = cli.load_config(args.config, args.cfg_options)
        print(cfg.pretty_text)
        if args.save:
            cfg.dump(args.save)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
