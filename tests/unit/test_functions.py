"""What a function may import: our package, Powertools and the standard library. Each other never, boto3 never."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
MAY = {"lifestream", "aws_lambda_powertools", *sys.stdlib_module_names}


@pytest.mark.parametrize("app", sorted(FUNCTIONS.glob("*/*.py")), ids=lambda app: app.parent.name)
def test_a_function_imports_our_package_and_powertools_only(app: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(app.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported <= MAY
    assert "lifestream" in imported


@pytest.mark.parametrize("app", sorted(FUNCTIONS.glob("*/app.py")), ids=lambda app: app.parent.name)
def test_a_handler_fits_on_one_screen(app: Path) -> None:
    assert len(app.read_text(encoding="utf-8").splitlines()) <= 50
