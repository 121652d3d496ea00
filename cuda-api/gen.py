#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates code and documents from an API description (README.md in this folder).

    gen.py --api cuda-api/driver --list EMITTER...            the files that would be written
    gen.py --api cuda-api/driver --out DIR EMITTER...         write them (same text: untouched)
    gen.py --api cuda-api/driver --out DIR --compare EMITTER  fail when DIR holds anything else
    gen.py --api cuda-api/driver --check --cuda HOME          compare the rows with the toolkit

Exit status 0 done, 1 the description is wrong, 2 misused.
"""
import argparse
import pathlib
import sys

from generator import (check, emit_coverage, emit_exports, emit_names, emit_nvml, emit_types, emit_wire,
                       header, model, nvml, wire)

EMITTERS = {"coverage": emit_coverage, "names": emit_names, "types": emit_types,
            "wire": emit_wire.Messages("wire", "cuda-api/wire/wire.toml",
                                       "the messages between a client process and a gpu-worker"),
            "session": emit_wire.Messages("sesm", "session/messages.toml",
                                          "the messages of the attach protocol"),
            "nvml": emit_nvml,
            "nvml-coverage": emit_nvml.Coverage(),
            "softcuda": emit_exports.Face("softcuda", "soft", "soft_call", "softcuda/driver"),
            "client": emit_exports.Face("client", "cudac", "cudac_call", "cuda-client",
                                        also=("fabric_client_face",))}


def main(argv=None):
    args = _arguments(argv)
    try:
        description = model.load(args.api)
        if args.check:
            problems = check.compare(description, args.cuda, args.cc)
            if problems:
                raise model.DescriptionError("\n".join(problems))
        for name in args.emitters:
            if args.list:
                print("\n".join(EMITTERS[name].outputs(description)))
            elif args.compare:
                _compare(args, name, EMITTERS[name].emit(description))
            else:
                _write(args.out, EMITTERS[name].emit(description))
    except (model.DescriptionError, header.HeaderError, wire.WireError,
            nvml.NvmlError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--api", type=pathlib.Path, required=True, help="folder of the description")
    parser.add_argument("--out", type=pathlib.Path, help="folder for the output")
    parser.add_argument("--list", action="store_true", help="print the file names only")
    parser.add_argument("--compare", action="store_true", help="compare with the files in --out")
    parser.add_argument("--check", action="store_true", help="compare with the toolkit")
    parser.add_argument("--cuda", type=pathlib.Path, help="the toolkit's folder")
    parser.add_argument("--cc", default="cc", help="compiler whose preprocessor reads the headers")
    parser.add_argument("emitters", nargs="*", choices=[[], *EMITTERS], default=[])
    args = parser.parse_args(argv)
    if args.check and not args.cuda:
        parser.error("--check needs --cuda")
    if args.emitters and not (args.list or args.out):
        parser.error("an emitter needs --out or --list")
    return args


def _write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _compare(args, emitter, files):
    for name, text in files.items():
        path = args.out / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            raise model.DescriptionError(
                f"{path}:1: not what the description says; write it anew: "
                f"{sys.argv[0]} --api {args.api} --out {args.out} {emitter}")


if __name__ == "__main__":
    sys.exit(main())
