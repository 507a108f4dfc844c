// Prints what the files named on standard input define, as the TypeScript compiler
// parses them: one JSON object a line. Functions, classes and types count wherever
// they are; variables at the level of modules and namespaces; members of classes,
// interfaces, type literals of an alias, and functions in object literals that have
// a name. Overloads of a function in a row are one.
import { readFileSync } from "node:fs";
import ts from "typescript";

const functions = new Set([ts.SyntaxKind.ArrowFunction, ts.SyntaxKind.FunctionExpression]);
const out = [];

function tags(path) {
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  if (source.parseDiagnostics.length > 0) {
    out.push(JSON.stringify({ path, invalid: true }));
    return;
  }
  const text = (name) => (ts.isStringLiteralLike(name) || ts.isNumericLiteral(name) ? name.text : name.getText(source));
  const put = (name, kind, at) => {
    const line = source.getLineAndCharacterOfPosition(at.getStart(source)).line + 1;
    out.push(JSON.stringify({ path, name, kind, line }));
  };
  const add = (name, kind) => name && put(text(name), kind, name);
  const valueKind = (value, otherwise) => {
    if (value && functions.has(value.kind)) return "function";
    return value && ts.isClassExpression(value) ? "class" : otherwise;
  };
  // plain looks through casts.
  const plain = (e) => {
    while (e && (ts.isAsExpression(e) || ts.isSatisfiesExpression(e) || ts.isParenthesizedExpression(e))) e = e.expression;
    return e;
  };
  // required says that a value is what another module exports, or a part of it.
  const required = (e) => {
    while (e && (ts.isPropertyAccessExpression(e) || ts.isAwaitExpression(e) || ts.isParenthesizedExpression(e))) e = e.expression;
    if (!e || !ts.isCallExpression(e)) return false;
    return e.expression.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(e.expression) && e.expression.text === "require");
  };
  // followed says that a function of the same name without a body comes just before.
  const followed = (node) => {
    const siblings = node.parent.members ?? node.parent.statements;
    const before = siblings?.[siblings.indexOf(node) - 1];
    return before && before.kind === node.kind && before.name?.getText(source) === node.name?.getText(source) && !before.body;
  };
  const bound = (pattern, data) => {
    for (const e of pattern.elements) {
      if (ts.isOmittedExpression(e)) continue;
      if (ts.isIdentifier(e.name)) data && add(e.name, "variable");
      else bound(e.name, data);
    }
  };
  const object = (literal) => {
    for (const p of literal.properties) {
      if (ts.isPropertyAssignment(p) && functions.has(p.initializer.kind)) add(p.name, "function");
      else if (ts.isPropertyAssignment(p) && ts.isObjectLiteralExpression(plain(p.initializer))) object(plain(p.initializer));
    }
  };
  const members = (list) => {
    for (const m of list) {
      if (!m.name || ts.isMethodSignature(m) && followed(m)) continue;
      add(m.name, ts.isMethodSignature(m) || ts.isAccessor(m) ? "function" : "field");
      if (ts.isPropertySignature(m) && m.type) types(m.type);
    }
  };
  const types = (node) => (ts.isTypeLiteralNode(node) ? members(node.members) : ts.forEachChild(node, types));

  const visit = (node, data) => {
    switch (node.kind) {
      case ts.SyntaxKind.FunctionDeclaration:
        if (!node.name) put("default", "function", node);
        else if (!followed(node)) add(node.name, "function");
        return inside(node, false);
      case ts.SyntaxKind.ClassDeclaration:
        if (node.name) add(node.name, "class");
        else put("default", "class", node);
        return inside(node, data);
      case ts.SyntaxKind.InterfaceDeclaration:
        add(node.name, "interface");
        return members(node.members);
      case ts.SyntaxKind.TypeAliasDeclaration:
        add(node.name, "type");
        return types(node.type);
      case ts.SyntaxKind.EnumDeclaration:
        add(node.name, "enum");
        for (const m of node.members) add(m.name, "enumerator");
        return;
      case ts.SyntaxKind.ModuleDeclaration: {
        if (node.flags & ts.NodeFlags.GlobalAugmentation) return node.body && visit(node.body, true);
        let name = text(node.name);
        let body = node.body;
        for (; body && ts.isModuleDeclaration(body); body = body.body) name += "." + text(body.name);
        put(name, "namespace", node.name);
        return body && inside(body, true);
      }
      case ts.SyntaxKind.MethodDeclaration:
        if (!ts.isClassLike(node.parent) || !followed(node)) add(node.name, "method");
        return inside(node, false);
      case ts.SyntaxKind.Constructor:
        if (!followed(node)) put("constructor", "method", node);
        for (const p of node.parameters) if (ts.isParameterPropertyDeclaration(p, node)) add(p.name, "parameter property");
        return inside(node, false);
      case ts.SyntaxKind.GetAccessor:
      case ts.SyntaxKind.SetAccessor:
        add(node.name, "method");
        return inside(node, false);
      case ts.SyntaxKind.PropertyDeclaration:
        add(node.name, valueKind(node.initializer, "field"));
        return inside(node, false);
      case ts.SyntaxKind.VariableDeclaration: {
        const kind = valueKind(plain(node.initializer), "variable");
        if (ts.isIdentifier(node.name)) {
          if (kind !== "variable" || data && !required(node.initializer)) add(node.name, kind);
        } else if (!required(node.initializer)) bound(node.name, data);
        const value = plain(node.initializer);
        if (value && ts.isObjectLiteralExpression(value)) object(value);
        return inside(node, false);
      }
      case ts.SyntaxKind.BinaryExpression:
        if (node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
          const kind = valueKind(node.right, "");
          const left = node.left;
          if (kind && ts.isPropertyAccessExpression(left) && /^[\w$.#]+$/.test(left.getText(source))) {
            if (left.getText(source) === "module.exports") put(node.right.name?.text ?? "default", kind, node.right.name ?? left);
            else add(left.name, kind);
          } else if (kind && ts.isIdentifier(left)) add(left, kind);
          if (ts.isObjectLiteralExpression(node.right)) object(node.right);
        }
        return inside(node, false);
      case ts.SyntaxKind.ExportAssignment: {
        const value = plain(node.expression);
        const kind = valueKind(value, ts.isObjectLiteralExpression(value) && !node.isExportEquals ? "variable" : "");
        if (kind && value.name) add(value.name, kind);
        else if (kind) put("default", kind, node);
        if (ts.isObjectLiteralExpression(value)) object(value);
        return inside(node, false);
      }
      case ts.SyntaxKind.CatchClause:
        return visit(node.block, false);
      case ts.SyntaxKind.Block:
      case ts.SyntaxKind.CaseBlock:
      case ts.SyntaxKind.ForStatement:
      case ts.SyntaxKind.ForInStatement:
      case ts.SyntaxKind.ForOfStatement:
        return inside(node, false);
      default:
        return inside(node, data);
    }
  };
  const inside = (node, data) => ts.forEachChild(node, (c) => visit(c, data));
  inside(source, true);
}

for (const path of readFileSync(0, "utf8").split("\n")) if (path) tags(path);
process.stdout.write(out.join("\n"));
