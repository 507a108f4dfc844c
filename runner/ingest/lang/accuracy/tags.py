"""Prints what the modules named on standard input define, as Python's ast sees it:
one JSON object a line. Names bound by assignments count at the level of modules and
classes, where they are bound first."""

import ast
import json
import sys
import tokenize
import warnings

warnings.simplefilter("ignore")


class Definitions(ast.NodeVisitor):
    def __init__(self, path, lines):
        self.path, self.lines = path, lines
        self.local = False
        self.known = set()

    def tag(self, name, kind, line):
        print(json.dumps({"path": self.path, "name": name, "kind": kind, "line": line}))

    def scope(self, node, local):
        outer = self.local, self.known
        self.local, self.known = local, set()
        for child in node.body:
            self.visit(child)
        self.local, self.known = outer

    def named_line(self, node, keyword):
        """The line of the name: decorators are no part of it, a line break may be."""
        line = node.lineno
        while node.name not in self.lines[line - 1] and line <= len(self.lines):
            line += 1
        return line

    def function(self, node):
        self.tag(node.name, "function", self.named_line(node, "def"))
        self.scope(node, local=True)

    visit_FunctionDef = visit_AsyncFunctionDef = function

    def visit_ClassDef(self, node):
        self.tag(node.name, "class", self.named_line(node, "class"))
        self.scope(node, local=False)

    def visit_TypeAlias(self, node):
        self.tag(node.name.id, "class", node.name.lineno)

    def bind(self, target, value):
        if isinstance(target, ast.Name):
            if isinstance(value, ast.Lambda):
                self.tag(target.id, "function", target.lineno)
            elif not self.local and target.id not in self.known:
                self.known.add(target.id)
                self.tag(target.id, "variable", target.lineno)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self.bind(part, None)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, None)

    def visit_Assign(self, node):
        for target in node.targets:
            self.bind(target, node.value)

    def visit_AnnAssign(self, node):
        self.bind(node.target, node.value)

    def visit_Lambda(self, node):
        pass


for path in sys.stdin.read().splitlines():
    try:
        with tokenize.open(path) as f:
            text = f.read()
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError, UnicodeDecodeError):
        print(json.dumps({"path": path, "invalid": True}))
        continue
    Definitions(path, text.split("\n")).visit(tree)
