"""Every command line that a document or a sentence of the product names can be typed: its words and options are there."""
from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli.entry import Root

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
CODE = [file for folder in ("gateway", "services", "shared", "deploy") for kind in ("*.py", "*.js", "*.yaml")
        for file in (ROOT / folder).rglob(kind) if "vendor" not in file.parts]
# The trees that hold actions; whatever else follows `edgemere` in code may be prose.
IN_CODE = re.compile(r"edgemere ((?:diml |do |fmdm )[^\"'`\n<]*)")
# Words of pytest, which `edgemere test` hands on.
HANDED_ON = ("test",)


def named_in(file: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        yield from re.findall(r"`(?:\./)?edgemere ([^`\n]+)`", text)
        yield from re.findall(r"^(?:\$ )?(?:\./)?edgemere ([^#\n]+)", text, re.M)
    else:
        # What is put into a sentence where it is said stands for any value.
        yield from IN_CODE.findall(re.sub(r"\{[^{}\n]*\}", "…", text))
        if file.suffix == ".py":
            yield from made_in(text)


def made_in(text: str) -> Iterator[str]:
    """The commands that a module makes with ``shared.kernel.typed``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "typed" and isinstance(node.args[0], ast.Constant):
            yield " ".join([node.args[0].value, *(f"--{option.arg} …" for option in node.keywords)])


def fault_of(line: str) -> str:
    """What of a command is not there, or an empty text."""
    try:
        words = shlex.split(re.split(r" \| | > |; |\.$|\. ", line)[0])
    except ValueError:
        words = line.split()
    found: click.Command | None = Root()
    context = click.Context(found)
    while words and isinstance(found, click.Group) and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        found = found.get_command(context, words.pop(0))
    if found is None:
        return "there is no such command"
    if isinstance(found, click.Group) or found.name in HANDED_ON:
        return ""
    known = {option for parameter in found.get_params(context) for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if re.match(r"--[a-z]", word) and re.split(r"[=\]),;:…]", word)[0] not in known]
    return f"it has no option {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("files", [DOCUMENTS, CODE], ids=["documents", "code"])
def test_every_command_that_is_named_can_be_typed(files: list[Path]) -> None:
    faults = {f"{file.relative_to(ROOT)}: edgemere {line.strip()}: {fault}" for file in files for line in named_in(file) if (fault := fault_of(line.strip()))}
    assert not faults, "\n".join(sorted(faults))
    assert sum(1 for file in files for _ in named_in(file)) > 40
