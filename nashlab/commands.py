"""The commands of one program: each is a function, and its signature and docstring are its options and its help.

tyro builds the parser of the command that was named, and of no other: building all of them takes longer than many a
command runs.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import tyro

from nashlab.arguments import Json
from nashlab.errors import BadInput, suggestion

__all__ = ["Commands"]

Command = TypeVar("Command", bound=Callable[..., int])
CONFIG = (tyro.conf.FlagCreatePairsOff,)


class Commands:
    """What a program can be told to do; ``about`` and ``completion`` come with every program.

    >>> commands = Commands("greet", "1.0", "Greetings.")
    >>> @commands.command("hi")
    ... def greet(*, name: str = "you") -> int:
    ...     '''Say hello.'''
    ...     print(f"hello {name}")
    ...     return 0
    >>> commands.run(["hi", "--name", "Ada"])
    hello Ada
    0
    >>> commands.run(["hy"])
    Traceback (most recent call last):
    nashlab.game.BadInput: command = 'hy', must be hi, about or completion, before its options; did you mean 'hi'?
    """

    def __init__(self, program: str, version: str, description: str):
        self.program, self.version, self.description = program, version, description
        self._own: dict[str, Callable[..., int]] = {}

    def command(self, name: str) -> Callable[[Command], Command]:
        """Decorator: register a function, which returns the exit code, under a name."""

        def registered(function: Command) -> Command:
            self._own[name] = function
            return function

        return registered

    def functions(self) -> dict[str, Callable[..., int]]:
        """Every command by its name, in the order of the help."""
        return self._own | self._shared()

    def run(self, arguments: Sequence[str]) -> int:
        """Run the command that the arguments name, and return its exit code.

        Errors: BadInput for an unknown command (with the nearest known one), or for none.
        """
        functions = self.functions()
        *others, last = functions
        names = f"{', '.join(others)} or {last}"
        if not arguments:
            raise BadInput(f"a command is missing, must be {names} (explained by {self.program} --help)")
        name, *options = arguments
        if name in ("-h", "--help") and options:
            name, options = options[0], ["--help", *options[1:]]
        if name in functions:
            code: int = tyro.cli(functions[name], prog=f"{self.program} {name}", args=options, config=CONFIG)
            return code
        if name not in ("-h", "--help", "--version"):
            hint = "" if name.startswith("-") else suggestion(name, (*functions, "--help", "--version"))
            raise BadInput(f"command = {name!r}, must be {names}, before its options{hint}")
        if options:
            raise BadInput(f"{name} stands alone, without {options[0]!r}")
        print(f"{self.program} {self.version}" if name == "--version" else self.help())
        return 0

    def help(self) -> str:
        """One line about each command, the first of its docstring."""
        functions = self.functions()
        width = max(map(len, functions)) + 4
        columns = shutil.get_terminal_size().columns
        lines = [f"usage: {self.program} COMMAND [OPTIONS]", "", *textwrap.wrap(self.description, columns), ""]
        for name, function in functions.items():
            about = (function.__doc__ or "").strip().split("\n\n")[0]
            first, *rest = textwrap.wrap(" ".join(about.split()), max(columns - width, 30))
            lines += [f"  {name:<{width - 2}}{first}", *(" " * width + line for line in rest)]
        return "\n".join([*lines, "", f"{self.program} COMMAND --help explains a command and gives examples."])

    def _shared(self) -> dict[str, Callable[..., int]]:
        """The commands of every program; their examples name it."""

        def about(*, json_output: Json = False) -> int:
            from nashlab.about import show

            show(self.program, self.version, json_output=json_output)
            return 0

        def completion(shell: tyro.conf.Positional[Literal["bash", "zsh", "tcsh"]], /) -> int:
            app: Any = tyro.extras.SubcommandApp()
            for name, function in self.functions().items():
                app.command(function, name=name)
            app.cli(prog=self.program, args=["--tyro-print-completion", shell], config=CONFIG)
            return 0

        about.__doc__ = f"""Print the version and the environment, to paste into an issue.

        Example: {self.program} about
        """
        completion.__doc__ = f"""Print a script that completes commands and options in a shell.

        Example: {self.program} completion bash > ~/.local/share/bash-completion/completions/{self.program}
        """
        return {"about": about, "completion": completion}
