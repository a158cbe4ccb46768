"""Random programs: a tree of statements, made from a number.

A program is a list of items; an item is a line, or a list of clauses `(head, items)` (an `if` with its `else`, a `try`
with its handlers, a class). `text` writes it, `smaller` lists the programs with one piece taken out.
"""

import random
import re

import grammar

HOLE = re.compile(r"\{(" + "|".join(grammar.TERMINALS) + r"|any)\}")
# What multiplies sizes gets plain holes; what could repeat a sequence by a huge number gets no wrong types.
SQUARE = re.compile(r"join\(\{str\}\)|join\(\{strs\}\)|replace|translate|product|permutations|combinations|for b in|\* \{small\}|\*\*|<<|accumulate|factorial|comb|perm|for _ in|for row in")
STRICT = re.compile(r"\{int\} \* \{int\}|\* \{int\}|\{int\} \* |__mul__|prod|sum\(|range\(")

OPERATORS = ["+", "-", "*", "/", "//", "%", "&", "|", "^", "@", "**", "<<", ">>"]
DUNDERS = {"+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "&": "and", "|": "or", "^": "xor", "@": "matmul",
           "**": "pow", "<<": "lshift", ">>": "rshift"}
COMPARISONS = {"<": "lt", "<=": "le", "==": "eq", "!=": "ne", ">": "gt", ">=": "ge"}
ERRORS = ["ValueError", "TypeError", "KeyError", "IndexError", "ZeroDivisionError", "LookupError", "ArithmeticError", "RuntimeError", "AttributeError",
          "StopIteration", "OSError", "NotImplementedError", "Exception", "AssertionError", "Custom", "Detail"]


class Writer:
    def __init__(self, seed, number):
        self.r = random.Random(f"{seed}:{number}")
        self.variables = {}
        self.count = 0
        self.noise = 0.04

    # Expressions

    def wrap(self, text, after):
        if re.fullmatch(r"[A-Za-z_]\w*", text) or text[:1] in "'\"[{" and self.closes(text):
            return text
        if re.fullmatch(r"[0-9.]+", text) and after not in (".", "["):
            return text
        return f"({text})"

    @staticmethod
    def closes(text):
        """Whether the first bracket or quote closes at the very end."""
        try:
            import ast
            node = ast.parse(text, mode="eval").body
            return isinstance(node, (ast.Constant, ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.JoinedStr))
        except (SyntaxError, ValueError):
            return False

    def fill(self, template, depth, noise):
        if SQUARE.search(template):
            depth = min(depth, 1)
        if STRICT.search(template):
            noise = 0

        def hole(match):
            kind = match.group(1)
            return self.wrap(self.expression(kind, depth - 1, noise), template[match.end():match.end() + 1])

        return HOLE.sub(hole, template)

    def expression(self, kind, depth, noise=None):
        noise = self.noise if noise is None else noise
        if kind == "any":
            kind = self.r.choice(grammar.ANY)
        if kind in ("set", "none", "small"):
            noise = 0
        elif kind in grammar.ANY and self.r.random() < noise:
            kind = self.r.choice(grammar.ANY)
            if kind in ("set", "none"):
                noise = 0
        if kind == "str" and self.r.random() < 0.06:
            return self.fstring()
        known = self.variables.get(kind)
        if known and self.r.random() < 0.35:
            return self.r.choice(known)
        templates = grammar.TEMPLATES.get(kind)
        if depth <= 0 or not templates or self.r.random() < 0.1:
            return self.r.choice(grammar.TERMINALS[kind])
        return self.fill(self.r.choice(templates), depth, noise)

    def fstring(self):
        r, parts = self.r, []
        names = [(n, k) for k, ns in self.variables.items() for n in ns] or [("7", "int")]
        for _ in range(r.randint(1, 3)):
            name, kind = r.choice(names)
            if kind in ("set", "idict") and r.random() < 0.5:
                name, kind = r.choice(names)
            if kind == "int":
                inner = r.choice([name, f"{name} + 1", f"{name} * 2", f"-{name}", f"{name} % 7"])
                spec = r.choice(["", "", ":d", ":5", ":<6", ":>6", ":^7", ":+d", ":x", ":#b", ":,", ":_", ":08", ":.2f", ":e", ":{3}", ":{8}.{2}f", "!r", "!s:>5", "=", "=:>5"])
            elif kind == "float":
                inner = r.choice([name, f"{name} / 3", f"abs({name})", f"{name} * 1e5"])
                spec = r.choice(["", ":.2f", ":10.3f", ":<10", ":e", ":g", ":.3g", ":%", ":,.1f", ":+", ":08.2f", ":.0f", "!r", ":=+9", "=:.3", ":n", ":.{4}f"])
            elif kind == "str":
                inner = r.choice([name, f"{name}[::-1]", f"{name}.upper()", f"{name} * 2", f"len({name})", f"{name}[:2]"])
                spec = r.choice(["", "!r", "!a", ":>8", ":<8", ":^8", ":.2", ":*^9.3", "!r:>9", "="])
            else:
                inner, spec = name, r.choice(["", "!r", "!s", "=", "!s:.5", "!r:>12"])
            parts.append("{" + inner + spec + "}" + r.choice(["", " ", "|", "{{", "}}", "%"]))
        return "f'" + r.choice(["", "v: ", "é "]) + "".join(parts) + "'"

    # Statements

    def name(self, prefix):
        self.count += 1
        return f"{prefix}{self.count}"

    def declare(self, name, kind):
        self.variables.setdefault(kind, []).append(name)

    def show(self, kind="any", depth=3, noise=None):
        return f"show(lambda: {self.expression(kind, depth, noise)})"

    def assignment(self):
        kind = self.r.choice(grammar.VARIABLE_TYPES)
        name = self.name("x")
        if self.r.random() < 0.4:
            item = f"{name} = {self.r.choice(grammar.TERMINALS[kind])}"
        else:
            item = f"{name} = attempt(lambda: {self.expression(kind, 2, 0)}, {self.r.choice(grammar.TERMINALS[kind])})"
        self.declare(name, kind)
        return [item]

    def pick(self, *kinds):
        """A variable of one of the kinds, or None."""
        names = [n for k in kinds for n in self.variables.get(k, [])]
        return self.r.choice(names) if names else None

    def guarded(self, *lines):
        return [[("try:", list(lines)), ("except Exception as e:", ["failed(e)"])]]

    def augmented(self):
        r = self.r
        kind = r.choice(["int", "float", "str", "ints", "strs", "list", "tuple", "set", "dict", "bytes", "complex"])
        name = self.pick(kind)
        if not name:
            return self.assignment()
        operator = {"int": ["+=", "-=", "*=", "//=", "%=", "&=", "|=", "^=", ">>=", "/="], "float": ["+=", "-=", "*=", "/=", "//=", "%="], "str": ["+=", "%="],
                    "set": ["|=", "&=", "-=", "^="], "dict": ["|="], "complex": ["+=", "*=", "-="]}.get(kind, ["+="])
        operator = r.choice(operator)
        other = self.expression("int" if operator in ("//=", "%=") else kind, 1, 0)
        keep = self.name("k")
        return [f"{keep} = {name}", *self.guarded(f"{name} {operator} {other}"), f"show(lambda: ({name}, {keep} is {name}))" if kind in ("ints", "strs", "list", "set", "dict") else f"show(lambda: {name})", f"{name} = {keep}"]

    def mutation(self):
        r = self.r
        target, source = self.pick("ints"), self.expression("ints", 1, 0)
        lines = []
        if target:
            s = self.expression("small", 1)
            lines += [f"{target}[{s}] = {self.expression('int', 1, 0)}", f"{target}[{s}:{self.expression('small', 1)}] = {source}", f"del {target}[{s}]", f"del {target}[{s}:]",
                      f"{target}[::{r.choice([1, 2, -1])}] = {source}", f"del {target}[::{r.choice([1, 2, 3, -1, -2, 0])}]", f"{target}[len({target}):] = [{s}]", f"{target}.sort(key=lambda v: (-v) % 4)",
                      f"{target}.insert({s}, 0)", f"{target}[{s}], {target}[-1] = {target}[-1], {target}[{s}]"]
        d = self.pick("dict")
        if d:
            lines += [f"{d}[{self.expression('str', 1, 0)}] = {self.expression('int', 1, 0)}", f"del {d}[{self.expression('str', 1, 0)}]", f"{d}.setdefault({self.expression('str', 1, 0)}, 5)",
                      f"{d}.pop({self.expression('str', 1, 0)})", f"{d}.popitem()", f"{d}.update({self.expression('dict', 1, 0)}, q=1)", f"{d} |= {self.expression('dict', 1, 0)}"]
        if not lines:
            return self.assignment()
        return self.guarded(r.choice(lines)) + [f"show(lambda: {target or d})", f"show(lambda: {d or target})"]

    def unpacking(self):
        r = self.r
        source = self.expression(r.choice(["list", "tuple", "str", "ints", "strs", "dict", "range", "bytes"]), 2)
        form = r.choice(["a, b", "a, *b", "*a, b", "a, *b, c", "a, b, c", "[a, b]", "(a, b), *c", "a, (b, *c)", "a,", "a, b, *c", "(*a,)"])
        names = ", ".join(sorted(set(re.findall(r"[abc]", form))))
        return self.guarded(f"{form} = {source}", f"print({names})")

    def loop(self, depth):
        r = self.r
        choice = r.randint(0, 5)
        body = self.block(depth - 1, 2)
        end = [(f"else:", [self.show(depth=1)])] if r.random() < 0.3 else []
        exits = [[(f"if {self.condition()}:", [r.choice(["break", "continue"])])]] if r.random() < 0.5 else []
        if choice == 0:
            n = self.name("n")
            return [f"{n} = 0", [(f"while {n} < {r.randint(1, 4)}:", [f"{n} += 1"] + exits + body)] + end]
        if choice == 1:
            return [[(f"for i in range({r.randint(0, 4)}):", [f"print(i)"] + exits + body)] + end]
        if choice == 2:
            source = self.expression(r.choice(["ints", "strs", "tuple", "str", "range", "dict"]), 1, 0)
            return [[(f"for v in itertools.islice({source}, 4):", ["show(lambda: v)"] + exits + body)] + end]
        if choice == 3:
            return [[(f"for i, v in enumerate({self.expression('strs', 1, 0)}[:3], {r.randint(-1, 2)}):", ["print(i, v)"] + exits)] + end]
        if choice == 4:
            return [[(f"for k, v in sorted(({self.expression('dict', 1, 0)}).items())[:3]:", ["print(k, v, sep='=')"] + exits)] + end]
        return [[(f"for a, b in zip({self.expression('ints', 1, 0)}[:4], {self.expression('str', 1, 0)}):", ["print(f'{a!r:>4}{b!r}')"] + exits)] + end]

    def condition(self):
        return f"attempt(lambda: {self.expression('bool', 2, 0)}, {self.r.choice(['True', 'False'])})"

    def branch(self, depth):
        clauses = [(f"if {self.condition()}:", self.block(depth - 1, 2))]
        while self.r.random() < 0.3:
            clauses.append((f"elif {self.condition()}:", self.block(depth - 1, 1)))
        if self.r.random() < 0.6:
            clauses.append(("else:", self.block(depth - 1, 2)))
        return [clauses]

    def raising(self):
        r = self.r
        error = r.choice(ERRORS)
        made = r.choice([error, f"{error}()", f"{error}({self.expression('any', 1, 0)})", f"{error}('m', {r.randint(0, 5)})"])
        if error == "OSError":
            made = r.choice(["OSError", "OSError('m')", "OSError(2, 'gone')", "OSError(13, 'no', 'f.txt')", "OSError(99, 'x', 'y')"])
        return r.choice([
            f"raise {made}", f"raise {made} from {r.choice(['None', 'ValueError(1)', 'KeyError'])}", f"assert {self.expression('bool', 1, 0)}, {self.expression('any', 1, 0)}",
            self.expression("any", 2, 0.2), f"[].pop({r.randint(0, 2)})", "{}['k']", "1 // 0", "None.x", "int('z')", f"next(iter(()))", "undefined_name", "raise 5", "'a' + 1", "[][2]",
            "1.0 / 0", "1 % 0", "(1, 2)[5]", "len(5)", "{[]: 1}", "'x'.nope()", "a, b = [1]", "a, b = [1, 2, 3]", "for q in 5: pass", "None()", "del undefined_name", "import nowhere_to_be_found",
        ])

    def trying(self, depth):
        r = self.r
        body = self.block(depth - 1, 1) + ([self.raising()] if r.random() < 0.8 else [])
        clauses = [("try:", body)]
        for _ in range(r.randint(0, 2)):
            kind = r.choice(ERRORS)
            handler = ["chain(e)"] + (["raise"] if r.random() < 0.15 else []) + ([self.raising()] if r.random() < 0.25 else [])
            clauses.append((f"except {r.choice([kind, f'({kind}, {r.choice(ERRORS)})'])} as e:", handler))
        if len(clauses) == 1 or r.random() < 0.7:
            clauses.append(("except Exception as e:", ["chain(e)"] + ([self.raising()] if r.random() < 0.2 else [])))
        if r.random() < 0.4:
            clauses.append(("else:", ["print('else')"]))
        if r.random() < 0.5:
            clauses.append(("finally:", ["print('finally')"] + (self.block(0, 1) if r.random() < 0.3 else [])))
        return [[("try:", [clauses]), ("except Exception as e:", ["chain(e)"])]]

    def managed(self, depth):
        r = self.r
        heads = ["with Manager('a') as m:", f"with Manager('b', swallow={r.choice(['ValueError', 'Exception', 'LookupError'])}):", "with Manager('a') as m, Manager('c', swallow=TypeError) as n:",
                 "with managed('g') as m:", "with managed('h', swallow=True) as m:", "with contextlib.suppress(KeyError, ValueError):", "with contextlib.ExitStack() as stack:",
                 "with (Manager('p'), managed('q') as m):", "with Manager('x', fail_enter=True):", "with Manager('y', fail_exit=True):"]
        head = r.choice(heads)
        body = (["stack.callback(print, 'callback')", "m = stack.enter_context(Manager('in'))"] if "ExitStack" in head else []) + self.block(depth - 1, 1) + ([self.raising()] if r.random() < 0.5 else [])
        return [[("try:", [[(head, body)]]), ("except Exception as e:", ["chain(e)"])]]

    def signature(self):
        """Parameters of a function as (text, names, what a call may say)."""
        r = self.r
        names = ["a", "b", "c", "d"][:r.randint(0, 4)]
        parts, state = [], "positional"
        slash = r.randint(1, len(names)) if names and r.random() < 0.25 else -1
        star = r.randint(0, len(names)) if r.random() < 0.35 else -1
        seen_default, shown = False, []
        for i, n in enumerate(names):
            if i == star:
                parts.append(r.choice(["*", "*args"]))
                shown += ["args"] if parts[-1] == "*args" else []
                state, seen_default = "keyword", False
            default = r.random() < 0.4 or (seen_default and state == "positional")
            seen_default |= default
            note = ": int" if r.random() < 0.1 else ""
            parts.append(n + note + (f"={self.r.choice(['1', 'None', chr(39) + 'd' + chr(39), '()', '2.5'])}" if default else ""))
            shown.append(n)
            if i + 1 == slash and state == "positional":
                parts.append("/")
        if state == "positional" and r.random() < 0.2:
            parts.append("*args")
            shown.append("args")
        if r.random() < 0.25:
            parts.append("**kwargs")
            shown.append("kwargs")
        return ", ".join(parts), shown

    def call_arguments(self):
        r, parts = self.r, []
        for _ in range(r.randint(0, 4)):
            parts.append(self.expression("any", 1, 0) if r.random() < 0.3 else str(r.randint(0, 9)))
        if r.random() < 0.2:
            parts.append("*" + r.choice(["[1, 2]", "()", "'xy'", "range(2)"]))
        for n in r.sample(["a", "b", "c", "d", "z"], r.randint(0, 2)):
            parts.append(f"{n}={r.randint(10, 19)}")
        if r.random() < 0.15:
            parts.append("**" + r.choice(["{'c': 5}", "{'q': 1, 'd': 2}", "{}"]))
        return ", ".join(parts)

    def function(self, depth):
        r, f = self.r, self.name("f")
        text, names = self.signature()
        before = {k: list(v) for k, v in self.variables.items()}
        body = self.block(depth - 1, 1) if r.random() < 0.5 else []
        if r.random() < 0.3:
            body = [[(f"def inner(v={r.randint(0, 3)}):", ["nonlocal total", "total += v", "return total"])], "total = 10", "show(lambda: (inner(), inner(5), total))"] + body
        body.append(f"return ({', '.join(names)}{',' if len(names) == 1 else ''})" if names else self.r.choice(["return", "pass", "return 'none'"]))
        self.variables = before
        decorators = [r.choice(["@logged", "@tagged('t')", "@functools.lru_cache(maxsize=None)", "@tagged(tag='k', times=2)", "@functools.wraps(len)"])] if r.random() < 0.25 else []
        items = [[("\n".join(decorators + [f"def {f}({text}):"]), body)]]
        for _ in range(r.randint(1, 3)):
            items.append(f"show(lambda: {f}({self.call_arguments()}))")
        if r.random() < 0.2 and "lru_cache" not in "".join(decorators):
            items.append(f"show(lambda: ({f}.__name__, {f}.__defaults__, {f}.__kwdefaults__, {f}.__qualname__.split('.')[-1], {f}.__module__ == __name__))")
        return items

    def generator(self):
        r, g = self.r, self.name("g")
        body = []
        for _ in range(r.randint(1, 4)):
            e = self.expression("any", 1, 0)
            body.append(r.choice([
                f"yield {e}", f"got = yield {e}\nprint('got', got)", f"yield from {self.expression('ints', 1, 0)}[:3]", f"got = yield from sub({r.randint(0, 3)})\nprint('sub gave', got)",
                [("try:", [f"yield {e}"]), ("except ValueError as e:", ["print('caught', e)", "yield 'after'"]), ("finally:", ["print('closing')"])],
                [(f"for i in range({r.randint(0, 3)}):", [[("if (yield i) == 7:", ["print('seven')"])]])],
            ]))
            if isinstance(body[-1], str) and "\n" in body[-1]:
                body += body.pop().split("\n")
        if r.random() < 0.4:
            body.append(f"return {self.expression('any', 1, 0)}")
        items = [[(f"def {g}():", body)]]
        form = r.randint(0, 3)
        if form == 0:
            items.append(f"show(lambda: list({g}()))")
        elif form == 1:
            items += [f"drive({g}(), [{', '.join(r.choice(['None', '7', chr(39) + 's' + chr(39), 'ValueError', 'KeyError(1)', 'StopIteration', 'CLOSE', 'NEXT']) for _ in range(5))}])"]
        elif form == 2:
            items.append(f"show(lambda: [v for v in {g}() if v])")
        else:
            items.append(f"show(lambda: dict(enumerate(itertools.islice({g}(), 3))))")
        return items

    def comprehension(self):
        r = self.r
        v = self.expression("ints", 1, 0)
        return [r.choice([
            f"show(lambda: [(i, j) for i in {v}[:4] for j in range(i % 4) if (i + j) % 2])", f"show(lambda: {{i: [j for j in range(i % 3)] for i in {v}[:5]}})", f"show(lambda: [f() for f in [lambda i=i: i * 2 for i in {v}[:4]]])",
            f"show(lambda: [f() for f in [lambda: i for i in {v}[:4]]])", f"show(lambda: [last := i for i in {v}[:4]] and 1)", f"show(lambda: sum(i * i for i in {v}))", f"show(lambda: sorted({{i % 3 for i in {v}}}))",
            f"show(lambda: list(map(lambda p: p[0] * p[1], zip({v}, {v}))))", f"show(lambda: [[j * i for j in {v}[:2]] for i in {v}[:3]])", f"show(lambda: next((i for i in {v} if i > 100), 'none'))",
            f"show(lambda: (lambda *a, k=2, **kw: (a, k, kw))(*{v}[:2], z=1))", f"show(lambda: [a if a > 0 else -a for a in {v} if a])", f"show(lambda: functools.reduce(lambda p, q: p - q, {v}))",
        ])]

    def klass(self, depth):
        r, c = self.r, self.name("C")
        items = []
        operators = r.sample(OPERATORS, r.randint(0, 3))
        body = [f"kind = '{c}'", [("def __init__(self, v=0):", ["self.v = v"])]]
        result = {0: "type(self)(({0}, {1}))", 1: "({2!r}, {0}, {1})", 2: "NotImplemented"}
        for o in operators:
            for prefix in ["", "r", "i"]:
                if r.random() < 0.6:
                    value = result[r.choice([0, 1, 1, 2])].format("self.v", "getattr(o, 'v', o)", f"{prefix}{DUNDERS[o]}")
                    body.append([(f"def __{prefix}{DUNDERS[o]}__(self, o):", [f"return {value}"])])
        compared = r.sample(list(COMPARISONS), r.randint(0, 4))
        for o in compared:
            body.append([(f"def __{COMPARISONS[o]}__(self, o):", [r.choice([f"return str(self.v) {o} str(getattr(o, 'v', o))", "return NotImplemented", f"return 'cmp {o}'"])])])
        extra = {
            "__repr__": "return f'{type(self).__name__}<{self.v!r}>'", "__str__": "return f'str:{self.v}'", "__len__": "return len(str(self.v))", "__bool__": "return bool(self.v)", "__hash__": "return 5",
            "__iter__": "yield self.v\nyield 'it'", "__contains__": None, "__getitem__": None, "__call__": None, "__neg__": "return ('neg', self.v)", "__abs__": "return ('abs', self.v)", "__invert__": "return 'inv'",
            "__int__": "return 42", "__float__": "return 4.5", "__index__": "return 2", "__format__": None, "__getattr__": None, "__enter__": "print('enter', self.v)\nreturn self", "__exit__": None,
            "__reversed__": "return iter([3, self.v])", "__round__": None, "__complex__": "return 1j", "__setitem__": None, "__delitem__": None, "__next__": "raise StopIteration", "__divmod__": None, "__pos__": "return self", "__bytes__": "return b'by'",
            "__dir__": "return ['z', 'a']", "__length_hint__": "return 3", "__trunc__": "return 9", "__ceil__": "return 'ceil'", "__floor__": "return 'floor'",
        }
        special = {
            "__contains__": ("o", "return o == self.v"), "__getitem__": ("i", r.choice(["if isinstance(i, int) and i > 3: raise IndexError('far')\nreturn ('item', i)", "return [1, 2, 3][i]", "raise IndexError(i)"])), "__call__": ("*a, **k", "return ('call', a, k)"),
            "__format__": ("spec", "return f'fmt({spec})'"), "__getattr__": ("n", "if n.startswith('_'): raise AttributeError(n)\nreturn 'attr ' + n"), "__exit__": ("t, e, tb", f"print('exit', t and t.__name__)\nreturn {r.choice(['True', 'False', 'None'])}"),
            "__round__": ("n=None", "return ('round', n)"), "__setitem__": ("i, o", "print('set', i, o)"), "__delitem__": ("i", "print('del', i)"), "__divmod__": ("o", "return ('divmod', o)"),
        }
        chosen = r.sample(list(extra), r.randint(1, 7))
        if "__repr__" not in chosen:
            chosen.append("__repr__")
        if "__exit__" in chosen and "__enter__" not in chosen:
            chosen.append("__enter__")
        for n in chosen:
            parameters, code = special.get(n, ("", extra[n]))
            lines = code.split("\n")
            lines = ["if n.startswith('_'): raise AttributeError(n)" if "raise AttributeError" in x else x for x in lines]
            body.append([(f"def {n}(self{', ' + parameters if parameters else ''}):", lines)])
        members = r.sample(["prop", "ro", "cm", "sm", "slot", "cached", "private", "init_sub", "nested", "classvar", "eq_hash"], r.randint(0, 3))
        if "prop" in members:
            body += [[("@property\ndef p(self):", ["return ('p', self.v)"])], [("@p.setter\ndef p(self, value):", ["print('setting', value)", "self.v = value"])], [("@p.deleter\ndef p(self):", ["print('deleting')"])]]
        if "ro" in members:
            body.append([("@property\ndef q(self):", ["'doc of q'", "return self.v"])])
        if "cm" in members:
            body.append([("@classmethod\ndef make(cls, *a):", ["return cls(a)"])])
        if "sm" in members:
            body.append([("@staticmethod\ndef st(a, b=2):", ["return (a, b)"])])
        if "slot" in members:
            body.insert(0, "__slots__ = ('v', 'w')")
        if "cached" in members and "slot" not in members:
            body.append([("@functools.cached_property\ndef cp(self):", ["print('computing')", "return self.v"])])
        if "private" in members:
            body += [[("def __hidden(self):", ["return 'hidden'"])], [("def reveal(self):", ["return self.__hidden()"])]]
        if "init_sub" in members:
            body.append([("def __init_subclass__(cls, **kw):", ["print('subclass', cls.__name__, kw)"])])
        if "nested" in members:
            body.append([("class Inner:", ["w = 3"])])
        if "classvar" in members:
            body += ["total = 0", [("def count(self):", ["type(self).total += 1", "return self.total"])]]
        base = r.choice(["", "", "", "Base", "Custom", "list", "dict", "str", "int", "tuple", "float", "set"])
        if base in ("", "Base") or "slot" in members:
            base = base if base == "Base" and "slot" not in members else ""
            heads = f"class {c}({base}):" if base else f"class {c}:"
        else:
            return self.derived(c, base)
        items.append([("@functools.total_ordering\n" + heads if "<" in compared and "==" in compared and len(compared) == 2 else heads, body)])
        items.append(f"a, b = {c}({self.expression('any', 1, 0) if r.random() < .3 else r.randint(0, 9)}), {c}({r.randint(0, 9)})")
        if r.random() < 0.4:
            d = self.name("D")
            methods = [[("def __init__(self, *x):", ["super().__init__(*x)", "print('made', self.v)"])]]
            for n in r.sample(chosen, min(len(chosen), r.randint(0, 2))):
                parameters, _ = special.get(n, ("", ""))
                passing = {"*a, **k": "*a, **k", "n=None": "n"}.get(parameters, parameters)
                methods.append([(f"def {n}(self{', ' + parameters if parameters else ''}):", [f"print('D {n}')", f"return super().{n}({passing})"])])
            keyword = ", flag=1" if "init_sub" in members and r.random() < 0.5 else ""
            items.append([(f"class {d}({c}{keyword}):", methods)])
            items.append(f"b = attempt(lambda: {d}({r.randint(0, 5)}), b)")
        uses = []
        for o in operators + r.sample(OPERATORS, 1):
            uses += [f"a {o} b", f"a {o} 2", f"3 {o} a", f"b {o} a"]
        for o in compared + r.sample(list(COMPARISONS), 1):
            uses += [f"a {o} b", f"a {o} 1", f"a {o} a"]
        uses += ["str(a)", "repr(b)", "len(a)", "bool(a)", "list(a)", "1 in a", "a[1]", "a[1:2]", "a[1, ...]", "a(1, k=2)", "-a", "abs(a)", "~a", "int(a)", "float(a)", "[5, 6, 7][a]", "f'{a:x}'", "f'{a}'", "f'{b!r:>9}'", "format(a, '>5')", "a.nope", "a.v",
                 "complex(a)", "round(a)", "round(a, 1)", "list(reversed(a))", "iter(a)", "next(a)", "divmod(a, 2)", "+a", "bytes(a)", "sorted([b, a])", "max(a, b)", "a.kind", f"{c}.kind", "a.p", "a.q", f"{c}.make(1).v", "a.st(1)", f"{c}.st(0)", "a.cp, a.cp", "a.reveal()", "a.__hidden", "a.count(), b.count()",
                 "a.Inner.__qualname__.split('.')[-2:]", "isinstance(b, %s)" % c, "type(a).__name__", f"[k.__name__ for k in {c}.__mro__]", "a.__class__.__name__", "hasattr(a, '__len__')", "range(5)[a]", "'%s %r' % (a, b)", "math.floor(a)", "math.trunc(a)", "math.ceil(a)", "bin(a)", "a == a, a != b", "callable(a)", "{a: 1}[b]", "sum([a, b])", "' '.join([a])",
                 "(*a,)", "dict(a)", "vars(a)", "a is b, a is a", "[*map(type, [a])] == [type(a)]", "copy.copy(a).v", "setattr(a, 'v', 3), a.v", "setattr(a, 'new', 3)", "delattr(a, 'v')", "getattr(a, 'zz', 'dflt')", "setattr(a, 'q', 1)", "a.p, setattr(a, 'p', 4), a.v", "delattr(a, 'p')", "delattr(a, 'nope')", "'a' + a", "a < 'x'", "int.__add__(1, a)", "'abc' * a", "a.__init__(8), a.v", f"{c}(1, 2, 3)", f"{c}(w=1)", f"{c}.__name__, {c}.__module__ == __name__, {c}.__doc__", "operator.index(a)", "pow(a, 2, 3)", "hex(a)", "[1, 2, 3][a:]", "list(zip(a, a))", "(lambda x, y: x)(*a)",
                 "setitem(a, 1, 2)", "delitem(a, 1)"]
        for use in r.sample(uses, r.randint(4, 10)):
            items.append(f"show(lambda: ({use}))")
        if operators:
            o = r.choice(operators)
            items += self.guarded(f"t = a", f"t {o}= b", "show(lambda: t)", f"t = 5", f"t {o}= a", "show(lambda: t)")
        if "__hash__" in chosen:
            items.append("show(lambda: (hash(a), {a: 1}.get(b), a in {b}))")
        if "__exit__" in chosen:
            items += self.guarded([("with a as w:", ["print(w is a)", self.raising()])], "print('after')")
        return items

    def derived(self, c, base):
        """A class whose base is a builtin."""
        r = self.r
        arguments = {"list": "[3, 1, 2]", "dict": "{'a': 1, 'b': 2}", "str": "'hello'", "int": "12", "tuple": "(1, 2, 3)", "float": "2.5", "set": "{1, 2}", "Custom": "'why', 7"}[base]
        methods = {
            "list": ["def append(self, v): super().append(v * 2)", "def __getitem__(self, i): return ('got', super().__getitem__(i))", "def __repr__(self): return 'L' + super().__repr__()", "def __len__(self): return 10 + super().__len__()", "def __eq__(self, o): return super().__eq__(o)",
                     "def __contains__(self, o): return not super().__contains__(o)", "def __setitem__(self, i, v): super().__setitem__(i, (v,))", "def __iter__(self): return iter(list(super().__iter__())[::-1])", "def __add__(self, o): return type(self)(super().__add__(o))", "def sort(self, **k): super().sort(reverse=True)"],
            "dict": ["def __missing__(self, k): return ('missing', k)", "def __getitem__(self, k): return super().__getitem__(k)", "def __setitem__(self, k, v): super().__setitem__(k.upper(), v)", "def get(self, k, d=0): return super().get(k, d)", "def __repr__(self): return f'D({super().__repr__()})'", "def __contains__(self, k): return super().__contains__(k)",
                     "def keys(self): return sorted(super().keys())", "def update(self, *a, **k): print('up'); super().update(*a, **k)", "def __len__(self): return super().__len__() * 2", "def __delitem__(self, k): print('del', k); super().__delitem__(k)"],
            "str": ["def upper(self): return '<' + super().upper() + '>'", "def __add__(self, o): return type(self)(super().__add__(o))", "def __len__(self): return 99", "def __getitem__(self, i): return super().__getitem__(i) + '!'", "def __repr__(self): return 'S' + super().__repr__()", "def __eq__(self, o): return super().__eq__(o)\n__hash__ = str.__hash__", "def __str__(self): return 'str!'", "def __format__(self, s): return super().__format__(s) + '.'"],
            "int": ["def __add__(self, o): return type(self)(super().__add__(o))", "def __repr__(self): return f'I({super().__repr__()})'", "def __eq__(self, o): return super().__eq__(o)\n__hash__ = int.__hash__", "def __mul__(self, o): return 'mul'", "def __rsub__(self, o): return ('rsub', o)", "def __bool__(self): return False", "def bit_length(self): return -super().bit_length()", "def __lt__(self, o): return True", "def __str__(self): return 'int!'"],
            "tuple": ["def __new__(cls, *a): return super().__new__(cls, a)", "def __getitem__(self, i): return super().__getitem__(i)", "def __repr__(self): return 'T' + super().__repr__()", "def __len__(self): return super().__len__()", "def __add__(self, o): return ('added', o)", "def count(self, v): return super().count(v) + 100", "@property\ndef first(self): return self[0]", "def __hash__(self): return super().__hash__() * 0"],
            "float": ["def __add__(self, o): return type(self)(super().__add__(o))", "def __repr__(self): return f'F({super().__repr__()})'", "def __round__(self, n=None): return ('round', n)", "def __truediv__(self, o): return 'div'", "def __eq__(self, o): return super().__eq__(o)", "def is_integer(self): return not super().is_integer()"],
            "set": ["def add(self, v): print('add', v); super().add(v)", "def __contains__(self, v): return not super().__contains__(v)", "def __repr__(self): return 'set!'", "def __or__(self, o): return sorted(super().__or__(o))", "def __len__(self): return 50 + super().__len__()", "def pop(self): return ('pop', super().pop())"],
            "Custom": ["def __str__(self): return 'E:' + super().__str__()", "def __init__(self, *a): super().__init__(*a); self.extra = len(a)", "def __repr__(self): return 'R' + super().__repr__()"],
        }[base]
        uses = {
            "list": ["x", "x + [1]", "len(x)", "x[0]", "x[1:]", "1 in x", "list(x)", "sorted(x)", "x == [3, 1, 2]", "x.append(4), x", "setitem(x, 0, 9), x", "x * 2", "x.sort(), x", "type(x + []).__name__", "[*x]", "x.index(1)", "x.copy()", "repr(x)", "x.extend(x), len(x)", "isinstance(x, list)", "x.tag", "setattr(x, 'tag', 1), x.tag", "max(x)", "bool(x)", "delitem(x, 0), x", "x < [4]", "x.pop()", "f'{x}'", "x.__class__.__name__", "json.dumps(x)", "list.__repr__(x)", "list.__len__(x)", "[0] + x", "x.__len__()", "tuple(x)", "copy.copy(x)", "x.__eq__(4)", "hash(x)"],
            "dict": ["x", "x['a']", "x['zz']", "x.get('zz')", "setitem(x, 'n', 1), x", "len(x)", "'a' in x", "list(x)", "x.keys()", "sorted(x.items())", "x == {'a': 1, 'b': 2}", "dict(x)", "{**x}", "x | {'c': 3}", "type(x | {}).__name__", "x.update(c=3), x", "x.setdefault('q', 5), x", "x.pop('a'), x", "delitem(x, 'a'), x", "json.dumps(x)", "repr(x)", "x.copy()", "type(x.copy()).__name__", "dict.__getitem__(x, 'a')", "[*x]", "x.popitem()", "bool(x)", "x.fromkeys('ab')", "type(x.fromkeys('ab')).__name__", "vars(x)", "(lambda **k: k)(**x)", "copy.copy(x)", "x.__contains__('a')"],
            "str": ["x", "x + 'y'", "'y' + x", "len(x)", "x[0]", "x[1:]", "x.upper()", "x == 'hello'", "hash(x) == hash('hello')", "str(x)", "f'{x}'", "f'{x:>8}'", "'%s' % x", "x.split('l')", "x * 2", "type(x * 2).__name__", "repr(x)", "'e' in x", "list(x)", "{x: 1}", "{x: 1}.get('hello')", "x < 'z'", "','.join([x, x])", "x.join(['a', 'b'])", "str.upper(x)", "x.replace('l', 'L')", "isinstance(x, str)", "json.dumps(x)", "sorted([x, 'a'])", "x.__len__()", "bool(x)", "x.encode()"],
            "int": ["x", "x + 1", "1 + x", "x * 3", "x - 1", "1 - x", "x == 12", "hash(x)", "-x", "type(-x).__name__", "str(x)", "f'{x}'", "f'{x:05d}'", "'%d' % x", "x // 5", "x ** 2", "x < 3", "3 < x", "[0] * x", "range(x)[-1]", "bool(x)", "not x", "x.bit_length()", "{x: 1}.get(12)", "sum([x, x])", "int(x)", "type(int(x)).__name__", "x & 4", "x / 5", "round(x)", "max(x, 3)", "divmod(x, 5)", "json.dumps(x)", "repr(x)", "'ab' * x == 'ab' * 12", "list(range(20))[x]", "isinstance(x, int)", "x.real", "x.__add__(2)", "int.__repr__(x)", "hex(x)", "float(x)", "complex(x)", "x.tag"],
            "tuple": ["x", "x[0]", "x[1:]", "x + (4,)", "(0,) + x", "len(x)", "x == (1, 2, 3)", "hash(x) == hash((1, 2, 3))", "x.count(1)", "x.index(2)", "list(x)", "x * 2", "1 in x", "x < (2,)", "repr(x)", "x.first", "{x: 1}", "sorted(x)", "isinstance(x, tuple)", "f'{x}'", "'%s %s %s' % x", "tuple(x)", "type(tuple(x)).__name__", "x.tag", "setattr(x, 'tag', 1), x.tag", "bool(x)", "max(x)", "json.dumps(x)", "copy.copy(x)", "x.__getitem__(1)"],
            "float": ["x", "x + 1", "1 + x", "x / 2", "2 / x", "x == 2.5", "round(x)", "round(x, 1)", "int(x)", "str(x)", "f'{x}'", "f'{x:.2f}'", "-x", "type(-x).__name__", "hash(x)", "x < 3", "x.is_integer()", "float(x)", "type(float(x)).__name__", "x // 1", "x % 1", "x ** 2", "repr(x)", "'%.1f' % x", "json.dumps(x)", "math.floor(x)", "abs(x)", "bool(x)", "isinstance(x, float)", "max(x, 1)", "x.hex()", "divmod(x, 1)"],
            "set": ["sorted(x)", "x.add(5), sorted(x)", "1 in x", "len(x)", "x | {9}", "x & {1}", "x - {1}", "x == {1, 2}", "repr(x)", "type(x | {3}).__name__", "type(x.copy()).__name__", "type(x.union([1])).__name__", "x.update([7]), sorted(x)", "{1, 2} | x", "x <= {1, 2, 3}", "bool(x)", "isinstance(x, set)", "x ^ {2}", "x.pop()", "x.remove(99)", "hash(x)", "x", "x.issubset([1, 2, 3])", "sorted(x - {2})", "x.discard(1), sorted(x)"],
            "Custom": ["str(x)", "repr(x)", "x.args", "raiser(x)", "isinstance(x, Exception)", "x.extra", "raiser(type(x))", "raiser(type(x)('z'))", "x == x", "bool(x)", "setattr(x, 'args', (1,)), x.args", "x.__cause__", "x.add_note('n'), x.__notes__", "[k.__name__ for k in type(x).__mro__][:3]", "f'{x}'", "type(x)().args"],
        }[base]
        chosen = r.sample(methods, min(len(methods), r.randint(1, 4)))
        body = []
        for m in chosen:
            for line in m.split("\n"):
                if line.startswith("def ") and body and isinstance(body[-1], str) and body[-1].startswith("@"):
                    line = body.pop() + "\n" + line
                body.append(line)
        items = [[(f"class {c}({base}):", body)]]
        items.append(f"x = {c}({arguments if not (base == 'tuple' and any('__new__' in m for m in chosen)) else '1, 2, 3'})")
        for use in r.sample(uses, r.randint(4, 9)):
            items.append(f"show(lambda: ({use}))")
        return items

    def data(self):
        r, c = self.r, self.name("P")
        flags = r.choice(["", "(frozen=True)", "(order=True)", "(eq=False)", "(order=True, frozen=True)", "(repr=False)", "(kw_only=True)", "(unsafe_hash=True)"])
        body = ["a: int", r.choice(["b: str = 'd'", "b: str = field(default='d')", "b: list = field(default_factory=list)", "b: int = field(default=3, repr=False)", "b: int = field(default=2, compare=False)"])]
        if r.random() < 0.3:
            body.append("total: ClassVar[int] = 7")
        if r.random() < 0.3:
            body.append([("def __post_init__(self):", ["print('post', self.a)"])])
        made = r.choice([f"{c}(1)", f"{c}(a=2)", f"{c}(a=1, b=5)", f"{c}(1, 2)", f"{c}()", f"{c}(1, 2, 3)", f"{c}(1, c=2)"])
        items = [[(f"@dataclass{flags}\nclass {c}:", body)], f"p = attempt(lambda: {made}, None)", f"q = attempt(lambda: {c}(a=1), None)"]
        uses = ["p", "p == q", "p < q", "hash(p) == hash(q)", "p.a, p.b", "setattr(p, 'a', 9), p", "dataclasses.asdict(p)", "dataclasses.astuple(p)", "dataclasses.replace(p, a=8)", "[f.name for f in dataclasses.fields(p)]", "p != q", "p.b is q.b", "repr(q)", "dataclasses.is_dataclass(p)", "sorted([q, p])", "p.total", "copy.copy(q)", "delattr(p, 'a')"]
        return items + [f"show(lambda: ({u}))" for u in r.sample(uses, 5)]

    def dictionaries(self):
        r = self.r
        s = self.expression("str", 1, 0)
        v = self.expression("ints", 1, 0)
        return [f"show(lambda: ({u}))" for u in r.sample([
            f"collections.Counter({s})", f"collections.Counter({s}) + collections.Counter({v})", f"collections.Counter({v}).most_common(2)", f"collections.Counter({s}) - collections.Counter('ab')", f"collections.deque({v}, maxlen={r.randint(0, 4)})", f"fill(collections.defaultdict(list), {s})",
            f"collections.OrderedDict(zip({s}, {v}))", "collections.namedtuple('N', 'x y')(1, 2)", "collections.namedtuple('N', ['x', 'y'], defaults=[5])(1)._asdict()", f"collections.ChainMap({{'a': 1}}, {{'b': 2}})['b']", f"[rotated(collections.deque({v}), {r.randint(-3, 3)})]", f"sorted(collections.Counter({s}).items())",
            f"list(itertools.groupby(sorted({v}), key=lambda n: n % 2))[0][0]", f"[(k, list(g)) for k, g in itertools.groupby({s})]", f"list(itertools.zip_longest({s}, {v}))", f"list(itertools.islice(itertools.cycle({s}), 5))", f"list(itertools.islice(itertools.count({r.randint(-3, 3)}, {r.randint(1, 3)}), 3))",
            f"list(itertools.combinations_with_replacement({s}[:3], 2))", f"list(itertools.chain.from_iterable([{s}, {v}]))", f"list(itertools.repeat({s}, {r.randint(0, 3)}))", f"[list(t) for t in itertools.tee({v}, 2)]", f"functools.partial(max, {r.randint(0, 9)})({r.randint(0, 9)})", f"operator.itemgetter(1)({s})", "operator.attrgetter('real')(3)", f"operator.methodcaller('upper')({s})",
            f"re.sub(r'(\\w)(\\w)', r'\\2\\1', {s})", f"re.match(r'(?P<w>\\w+)', {s}).groupdict()", f"[m.span() for m in re.finditer(r'[aeiou]', {s})]", f"re.search(r'(.)\\1', {s})", f"re.split(r'(\\s)', {s})", f"re.sub('[a-c]', lambda m: m.group().upper(), {s}, count=2)", f"re.fullmatch(r'\\w*', {s}) is not None", f"re.findall(r'(\\w)(\\d)?', {s})",
            f"random_stream({r.randint(0, 99)})", f"json.loads({s})", f"json.dumps({{'k': {v}, 's': {s}}}, indent=2)", f"bisect.bisect_left(sorted({v}), 2)", f"bisect.insort(sorted({v}), 2)", f"heaped({v})", f"statistics_of({v})", f"string.Template('$a-${{b}}').substitute(a=1, b={s})", f"textwrap_of({s})", f"copy.deepcopy([{v}, [{v}]])", f"io.StringIO({s}).readlines()", f"functools.cmp_to_key(lambda a, b: b - a)(1) < functools.cmp_to_key(lambda a, b: b - a)(2)", f"sorted({v}, key=functools.cmp_to_key(lambda a, b: b - a))",
            f"Decimalish({r.randint(1, 9)})", f"singles({v})", f"type({v})({s})", f"str({s}, 'utf-8')", f"{s}.split({s}, {r.randint(-1, 2)})", f"print({s}, end='')", f"iter({v}).__next__()", f"list(iter(lambda c=iter({v}): next(c, 5), 5))", f"enumerate({v}).__next__()", f"zip({v}, {s}, strict=True).__next__()", f"list(zip({v}, {s}, strict=True))", f"min({v}, default='none')", f"max({s}, key=lambda c: -ord(c))", f"slice(1, {r.randint(2, 5)}).indices(3)",
        ], 3)]

    def statement(self, depth):
        r = self.r
        simple = [lambda: [self.show()], lambda: [self.show()], lambda: [self.show(depth=2, noise=0.25)], self.assignment, self.assignment, self.augmented, self.mutation, self.unpacking, self.comprehension]
        if depth <= 0:
            return r.choice(simple)()
        compound = [lambda: self.loop(depth), lambda: self.branch(depth), lambda: self.trying(depth), lambda: self.managed(depth), lambda: self.function(depth), self.generator, lambda: self.klass(depth), lambda: self.klass(depth), self.data, self.dictionaries]
        return r.choice(simple if r.random() < 0.5 else compound)()

    def block(self, depth, most):
        before = {k: list(v) for k, v in self.variables.items()}
        items = []
        for _ in range(self.r.randint(1, most)):
            items += self.statement(depth)
        self.variables = before
        return items

    def program(self):
        items = []
        for _ in range(self.r.randint(2, 4)):
            items += self.assignment()
        for _ in range(self.r.randint(2, 6)):
            items += self.statement(2)
        if self.r.random() < 0.5:
            return [[("def main():", items)], "main()"]
        return items


def text(items):
    """The program's text; what shows a value says its line."""
    lines = written(items, "")
    for i, line in enumerate(lines):
        if line.endswith(")") and ("show(lambda: " in line or " = attempt(lambda: " in line):
            lines[i] = f"{line[:-1]}, at={i})"
    return "\n".join(lines) + "\n"


def written(items, indent):
    out = []
    for item in items:
        if isinstance(item, str):
            out += [indent + line for line in item.split("\n")]
            continue
        for head, body in item:
            out += [indent + line for line in head.split("\n")]
            out += written(body, indent + "    ") or [indent + "    pass"]
    return out


def smaller(items):
    """The programs with one piece taken out, larger pieces first."""
    for i in range(len(items)):
        yield items[:i] + items[i + 1:]
    for i, item in enumerate(items):
        if isinstance(item, str):
            continue
        for j, (head, body) in enumerate(item):
            if len(item) > 1:
                yield items[:i] + [item[:j] + item[j + 1:]] + items[i + 1:]
            if not re.match(r"(class|def|@)", head):
                yield items[:i] + body + items[i + 1:]
            for less in smaller(body):
                yield items[:i] + [item[:j] + [(head, less)] + item[j + 1:]] + items[i + 1:]
