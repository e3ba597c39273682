"""The command line: options made from dataclasses, one clear line on bad input. Heavy imports wait for a command."""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from typing import Any

import tyro

from anogan.cli.options import COMMANDS, TRAIN, AnyTrain, run_path, vars_of
from anogan.cli.options.help import rare_options, registry
from anogan.config.presets import DEFAULT, PRESETS, STARTS
from anogan.config.runs import RunConfig, kind_of
from anogan.errors import AnoganError
from anogan.threads import adapting

BOX = re.compile(r"[╭╮╰╯│─]+|-{4,}")


class UsageError(AnoganError):
    """The command line was wrong."""


def parse(command: str, args: list[str], default: Any = None) -> Any:
    """Parse the command's options. Raises `UsageError` with tyro's message on one line."""
    cls, given = (COMMANDS[command], {}) if default is None else (type(default), {"default": default})
    asked = next((word for word in args if word in ("-h", "--help", "--help-all")), None)
    rules = registry(everything=asked in (None, "--help-all"))
    kept = io.StringIO()
    try:
        with redirect_stderr(kept):
            return tyro.cli(cls, args=["--help"] if asked else args, prog=f"anogan {command}", registry=rules, **given)
    except SystemExit as error:
        if error.code == 0:
            if asked != "--help-all" and (options := rare_options(cls)):
                print(f"--help-all in place of {asked} shows the rest: {', '.join(options)}")
            raise
        raise UsageError(f"{one_line(kept.getvalue())} (see: anogan {command} --help)") from None


def one_line(message: str) -> str:
    """Take what is wrong, and which options are near, out of tyro's box."""
    body = message.splitlines()[1:]  # after the title
    first, *rest = "\n".join(BOX.sub("", line).strip() for line in body).strip().split("\n\n")
    near = [line.split(" ")[0] for part in rest for line in part.splitlines() if line.startswith("--")]
    return " ".join(first.split()) + (f"; near: {', '.join(dict.fromkeys(near))}" if near else "")


def parse_train(args: list[str]) -> AnyTrain:
    """Options on top of the preset's settings or, with --resume, on top of the run's own."""
    preset = PRESETS.get(named(args, "--preset", "default"), DEFAULT)  # the parser will complain of a wrong one
    options: AnyTrain = parse("train", args, _train_default(named(args, "--data", preset.data), preset))
    path = run_path(options)
    if options.resume and (path / "config.json").exists():
        from anogan.runs.directory import Run

        saved: RunConfig = Run[RunConfig](path).config
        options = parse("train", args, _train_default(saved.data, saved))
    return replace(options, out=path)


def _train_default(data: str, config: RunConfig) -> AnyTrain:
    """Return the options of a run on this kind of data, with a config's settings."""
    kind = kind_of(data) if config.kind == "digits" else config.kind
    return TRAIN[kind](**vars_of(config if config.kind == kind else replace(STARTS[kind], data=data)))


def named(args: list[str], option: str, otherwise: str) -> str:
    """Find the value that an option is given, before the options are known by name."""
    words = [part for word in args for part in (word.split("=", 1) if word.startswith(f"{option}=") else [word])]
    return words[words.index(option) + 1] if option in words[:-1] else otherwise


def usage() -> str:
    """Return the list of commands."""
    first = {name: " ".join(str(cls.__doc__).split()).split(". ")[0].rstrip(".") for name, cls in COMMANDS.items()}
    rows = [f"  {name:11} {sentence}." for name, sentence in first.items()]
    head = ["usage: anogan COMMAND [OPTIONS]", "", "Train a GAN on what is normal, flag what is not.", ""]
    tail = ["", "anogan COMMAND --help shows a command's options; anogan --version the version."]
    return "\n".join([*head, *rows, *tail])


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"anogan: warning: {message}", file=sys.stderr)


def run_command(args: list[str]) -> int:
    """Run a command. Returns the exit status."""
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else 2
    if args[0] == "--version":
        import anogan

        print(f"anogan {anogan.__version__}")
        return 0
    name, rest = args[0], args[1:]
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}; choose from {', '.join(COMMANDS)}")
    options = parse_train(rest) if name == "train" else parse(name, rest)
    from anogan import parallel

    action: Callable[[Any], int] = importlib.import_module(f"anogan.cli.commands.{name}").run
    with parallel.group(getattr(options, "device", "auto")):
        if name != "benchmark":  # it sets those of its workers
            parallel.use_threads(getattr(options, "threads", 0))
        # The benchmark's workers and the server's models have numbers of their own.
        with adapting(name not in ("benchmark", "serve") and not getattr(options, "threads", 0)):
            return action(options)


def main() -> int:
    """Exit status: 0 done, 1 anomalies found with --fail-on-anomaly, 2 bad input, 130 interrupted, 141 not read on."""
    warnings.showwarning = _warn
    try:
        return run_command(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nanogan: interrupted; continue an interrupted training with --resume", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else flushing at exit complains again
        return 141
    except (AnoganError, ValueError, OSError) as error:
        print(f"anogan: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
