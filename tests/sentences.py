"""Every sentence that a command can say, collected from the sources: `make sentences` writes it.

They are read in one list, docs/sentences.md, where it shows whether each says what is wrong, where,
and what to do.  A value that is filled in stands in braces.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "docs" / "sentences.md"
HEAD = """# What the commands say

Every sentence that a command can end with or print, by the file that says it; what stands in
braces is filled in. Those of mistakes end the command with exit code 2 (138 where a worker has lost
another one, see cluster.md) and are all that it prints on the standard error, after its name. `make
sentences` writes this list.
"""
# Calls, besides the mistakes.
SPOKEN = {"print", "say", "error", "_say", "ArgumentTypeError", "exit"}


def _text(node: ast.expr) -> str | None:
    """What a string says, None if it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
            for part in node.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.Call) and node.args:  # shown(...)
        return _text(node.args[0])
    return None


def _spoken(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The kind and the words of what a file says, in its order."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        text = _text(node.args[0])
        if text and " " in text and (name.endswith("Error") or name in SPOKEN):
            kind = "mistake" if name.endswith("Error") else "word"
            yield kind, " ".join(text.split())


def sentences() -> str:
    """The list as Markdown."""
    parts = [HEAD]
    sources = [*sorted((ROOT / "GenNet").rglob("*.py")), *sorted((ROOT / "DesNet").glob("*.py"))]
    for path in [
        *sources,
        *sorted((ROOT / "Baselines").glob("*.py")),
        *sorted((ROOT / "families").glob("*.py")),
        *sorted((ROOT / "report_page").glob("*.py")),
        *sorted(ROOT.glob("*.py")),
    ]:
        said = list(dict.fromkeys(_spoken(ast.parse(path.read_text(encoding="utf-8")))))
        if said:
            parts.append(f"## {path.relative_to(ROOT).as_posix()}\n")
            parts.append("\n".join(f"* {kind}: {text}" for kind, text in sorted(said)) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    LIST.write_text(sentences(), encoding="utf-8")
