"""One-line bugs: for each expression of a module, what a tired programmer would write instead."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv,
}


@dataclass(frozen=True)
class Mutant:
    """One changed expression or statement.

    Attributes:
        path: Of the module.
        line: Where, from 1.
        before: What stands there.
        after: What stands there instead.
        text: The whole module with the change.
    """

    path: Path
    line: int
    before: str
    after: str
    text: str


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a module; docstrings, annotations, messages and imports have none."""
    text = path.read_text(encoding="utf-8")
    for node in _code(ast.parse(text)):
        for changed in _changes(node):
            before, after = ast.get_source_segment(text, node) or "", ast.unparse(changed)
            if isinstance(node, ast.expr):
                after = f"({after})"
            whole = _replaced(text, node, after)
            try:
                compile(whole, str(path), "exec")
            except SyntaxError:
                continue
            yield Mutant(path, node.lineno, " ".join(before.split()), " ".join(after.split()), whole)


def _code(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Nodes that run when the function around them does."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue  # of zip: a guard that nothing trips
        if isinstance(node, ast.arguments | ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.AnnAssign):
            yield from _code(ast.Expression(node.value)) if node.value else ()
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):  # without decorators and bases
            yield from _code(ast.Module(node.body, []))
            continue
        if isinstance(node, ast.Assign) and [getattr(name, "id", "") for name in node.targets] == ["msg"]:
            continue
        if isinstance(node, ast.expr | ast.stmt):
            yield node
        yield from _code(node)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _SWAPPED:
            yield ast.Compare(node.left, [_SWAPPED[type(op)]()], node.comparators)
        case ast.BoolOp() | ast.BinOp() if type(node.op) in _SWAPPED and not _is_text(node):
            fields = {name: getattr(node, name) for name in node._fields}
            yield type(node)(**{**fields, "op": _SWAPPED[type(node.op)]()})
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield node.operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float() as value) if value:
            yield ast.Constant(value * 2)
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)
        case ast.If():
            pass
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Pass()
        case ast.Call(func=ast.Name(id="sorted" | "abs"), args=[only, *_]):
            yield only
        case ast.Call(func=ast.Name(id="min" | "max" as name)):
            other = "max" if name == "min" else "min"
            yield ast.Call(ast.Name(other), node.args, node.keywords)
        case ast.Call(func=ast.Name(id="any" | "all" as name)):
            yield ast.Call(ast.Name("all" if name == "any" else "any"), node.args, node.keywords)
        case ast.Call(func=ast.Attribute(attr="any" | "all" as name)):
            other = ast.Attribute(node.func.value, "all" if name == "any" else "any")
            yield ast.Call(other, node.args, node.keywords)
        case ast.comprehension():
            pass


def _is_text(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(node))


def _replaced(text: str, node: ast.expr | ast.stmt, after: str) -> str:
    lines = text.encode().splitlines(keepends=True)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    head = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    tail = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return (head + after.encode() + tail).decode()
