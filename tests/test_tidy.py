"""The style of the house, checked: lengths, floors, who may await, who may read the world, no float money.

Each rule is a function from the parsed files to findings, `path:line: what`, and its test says which rule is broken.
The last tests show that each rule finds what it is for: a rule that cannot fail guards nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 400
TEST_LINES_MAX = 600  # tables of cases are long
FUNCTION_LINES_MAX = 60
NESTING_FLOOR = 6  # of what may await: shell/ and above

# What of the emulator speaks HTTP and WebSocket; the exchange itself is pure.
SERVED = (
    *sorted(path.stem for path in (ROOT / "kalshi_daemon" / "emulator").glob("*_routes.py")),
    *("call", "market_filters", "faulty_outlet", "faulty_service", "faulty_stream", "requests", "rest"),
    *("streams", "websocket", "server", "tls", "world"),
)

# The floor of a module, by the longest prefix of its path. Imports go down, or stay.
FLOORS = {
    "statecharts/": 1,
    "kalshi_daemon/__init__.py": 2,
    "kalshi_daemon/units.py": 2,
    "kalshi_daemon/facts/": 2,
    "kalshi_daemon/commands.py": 2,
    "kalshi_daemon/errors.py": 2,
    "kalshi_daemon/limits.py": 2,
    "kalshi_daemon/config.py": 2,
    "kalshi_daemon/hosts.py": 2,
    "kalshi_daemon/config_checks.py": 2,
    "kalshi_daemon/config_defaults.py": 2,
    "kalshi_daemon/config_values.py": 2,
    "kalshi_daemon/wire/": 3,
    "kalshi_daemon/core/": 4,
    "kalshi_daemon/charts/": 5,
    "kalshi_daemon/policy/": 5,
    "kalshi_daemon/emulator/": 5,
    **{f"kalshi_daemon/emulator/{name}.py": 6 for name in SERVED},
    "kalshi_daemon/shell/": 6,
    "kalshi_daemon/training/": 7,
    "kalshi_daemon/replay/": 7,
    "kalshi_daemon/seams.py": 7,
    "kalshi_daemon/parts.py": 7,
    "kalshi_daemon/policy_parts.py": 7,
    "kalshi_daemon/surface.py": 7,
    "kalshi_daemon/surface_counts.py": 7,
    "kalshi_daemon/tasks.py": 7,
    "kalshi_daemon/daemon.py": 7,
    "kalshi_daemon/run.py": 8,
    "kalshi_daemon/demo.py": 8,
    "kalshi_daemon/dry_run.py": 8,
    "kalshi_daemon/examine.py": 8,
    "kalshi_daemon/demo_summary.py": 8,
    "kalshi_daemon/local_exchange.py": 8,
    "kalshi_daemon/simulation/": 8,
    "kalshi_daemon/cli.py": 8,
    "kalshi_daemon/client_cli.py": 8,
    "kalshi_daemon/cli_arguments.py": 8,
    "kalshi_daemon/recording_cli.py": 8,
    "kalshi_daemon/replay_cli.py": 8,
    "kalshi_daemon/model_cli.py": 8,
    "kalshi_daemon/journal_cli.py": 8,
    "kalshi_daemon/statement_cli.py": 8,
    "kalshi_daemon/standard_streams.py": 8,
    "kalshi_daemon/__main__.py": 8,
}
EFFECTS = {"trio", "httpx", "httpcore", "trio_websocket", "prometheus_client", "onnxruntime", "pyarrow", "sqlite3"}
EFFECTS_TOO = {"kalshi_daemon/charts/runner.py": {"trio"}}
WORLD = {"os", "io", "socket", "subprocess", "threading", "asyncio", "tempfile", "shutil", "time", "secrets"}
FILE_CALLS = {"read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "touch"}
FILE_CALLS_TOO = {"kalshi_daemon/charts/catalogue.py"}  # `charts export` writes the pages
CLOCK_CALLS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep", "localtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "uuid": {"uuid1", "uuid4", "getnode"},
    "os": {"urandom"},
    "random": {"random", "randint", "randrange", "choice", "choices", "shuffle", "uniform", "seed", "SystemRandom"},
}
CLOCK_FILES = {"kalshi_daemon/shell/clock.py", "kalshi_daemon/shell/ids.py"}
CHANCE_FILES = {"kalshi_daemon/run.py"}  # `run` draws what a demo or a simulation is handed as a seed
RUNNER = "kalshi_daemon/charts/runner.py"
# In core/ these count seconds or rates, not money.
NO_MONEY = {
    "backoff",
    "circuit_breaker",
    "rate_limit",
    "rate_governor",
    "health_monitor",
    "startup",
    "table",
    "chart_states",
}
MONEY = re.compile(
    r"kalshi_daemon/(units|facts/\w+|commands|config|config_values|wire/fixed_point|core/\w+"
    r"|emulator/(fees|matching|accounts|exchange|execution|orders|amendments|trading))\.py"
)
UNDECIDED = re.compile(r"#.*\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b(?!\(\d{4}\))")
SECRET_NAME = re.compile(r"secret|password|passphrase|private_key(?!_file)|api_key$|token$", re.IGNORECASE)
HOSTS = re.compile(r"pypi\.org|pythonhosted|--index-url|/home/|/work/|/tmp/", re.IGNORECASE)


@frozen
class Source:
    path: str
    text: str
    tree: ast.Module

    @property
    def floor(self) -> int | None:
        fitting = [name for name in FLOORS if self.path == name or (name.endswith("/") and name in self.path)]
        return FLOORS[max(fitting, key=len)] if fitting else None

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"


def source(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text, path))


@cache
def product() -> tuple[Source, ...]:
    paths = [path for folder in ("statecharts", "kalshi_daemon") for path in (ROOT / folder).rglob("*.py")]
    return tuple(source(str(path.relative_to(ROOT)), path.read_text()) for path in sorted(paths))


@cache
def everything() -> tuple[Source, ...]:
    tests = sorted((ROOT / "tests").rglob("*.py"))
    return product() + tuple(source(str(path.relative_to(ROOT)), path.read_text()) for path in tests)


# ---- the rules


def long_files(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        lines, most = file.text.count("\n"), TEST_LINES_MAX if file.path.startswith("tests/") else FILE_LINES_MAX
        if lines > most:
            yield f"{file.path}:1: {lines} lines, at most {most}"


def long_functions(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    yield file.at(node, f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")


def undocumented(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        if not ast.get_docstring(file.tree):
            yield f"{file.path}:1: the module does not open with what it is"


def imports(file: Source) -> Iterator[tuple[ast.AST, str]]:
    """Every import, however deep, as the dotted name of what is imported."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.path}: imports are absolute"
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def by_module(files: tuple[Source, ...]) -> dict[str, Source]:
    return {file.module: file for file in files}


def imported(files: tuple[Source, ...], file: Source) -> Iterator[tuple[ast.AST, Source]]:
    """The files of ours that a file imports: a name is a module, or something in one."""
    known = by_module(files)
    for node, name in imports(file):
        target = known.get(name) or known.get(name.rpartition(".")[0])
        if target is not None and target is not file:
            yield node, target


def climbing_imports(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        if file.floor is None:
            yield f"{file.path}:1: it has no floor; add it to FLOORS"
            continue
        for node, target in dict.fromkeys(imported(files, file)):
            if target.floor is not None and target.floor > file.floor:
                yield file.at(node, f"floor {file.floor} imports {target.path} of floor {target.floor}")
            if file.path.startswith("kalshi_daemon/emulator/") and target.path.startswith("kalshi_daemon/core/"):
                yield file.at(node, f"the emulator imports {target.path}: a mistake could hide in both")


def import_cycles(files: tuple[Source, ...]) -> Iterator[str]:
    """Imports at the top of modules that come back to where they began."""
    edges = {
        file.path: [target.path for node, target in imported(files, file) if node in file.tree.body] for file in files
    }
    finished: set[str] = set()

    def visit(path: str, trail: list[str]) -> Iterator[str]:
        if path in trail:
            yield " -> ".join([*trail[trail.index(path) :], path])
        elif path not in finished:
            for target in edges[path]:
                yield from visit(target, [*trail, path])
            finished.add(path)

    for path in edges:
        yield from visit(path, [])


def misplaced_effects(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        for node, name in imports(file):
            top = name.split(".")[0]
            below = (file.floor or 0) < NESTING_FLOOR
            if top == "transitions" and file.path != "kalshi_daemon/charts/chart.py":
                yield file.at(node, "transitions belongs to charts/chart.py")
            if below and top in EFFECTS - EFFECTS_TOO.get(file.path, set()):
                yield file.at(node, f"{top} is imported below floor {NESTING_FLOOR}")
            if below and top in WORLD:
                yield file.at(node, f"{top} reads the world; below floor {NESTING_FLOOR} it comes in from outside")
        if (file.floor or 0) < NESTING_FLOOR and file.path not in FILE_CALLS_TOO:
            for call in calls(file.tree):
                if called(call) == ("", "open") or called(call)[1] in FILE_CALLS:
                    yield file.at(call, f"{called(call)[1]}() touches the filesystem below floor {NESTING_FLOOR}")


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def called(call: ast.Call) -> tuple[str, str]:
    """`a.b.c()` is ("b", "c"); `c()` is ("", "c")."""
    function = call.func
    if isinstance(function, ast.Name):
        return "", function.id
    if isinstance(function, ast.Attribute):
        owner = function.value
        return getattr(owner, "attr", getattr(owner, "id", "")), function.attr
    return "", ""


def read_clocks(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        if file.path in CLOCK_FILES:
            continue
        for call in calls(file.tree):
            owner, name = called(call)
            if name in CLOCK_CALLS.get(owner, ()):
                yield file.at(call, f"{owner}.{name}() is read outside shell/clock.py and shell/ids.py")
            if name == "Random" and not call.args and file.path not in CHANCE_FILES:
                yield file.at(call, "a Random without a seed")


def stray_tasks(files: tuple[Source, ...]) -> Iterator[str]:
    """start_soon and start only on a nursery that the same function (or one around it) opened."""
    for file in files:
        if file.path != RUNNER:
            yield from _stray(file, file.tree, frozenset())


def _stray(file: Source, node: ast.AST, opened: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        opened = opened | _opened(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        on = ast.unparse(node.func.value)
        soon = node.func.attr == "start_soon"
        if (soon or (node.func.attr == "start" and "nursery" in on)) and on not in opened:
            yield file.at(node, f"{on}.{node.func.attr} on a nursery that this function did not open")
    for child in ast.iter_child_nodes(node):
        yield from _stray(file, child, opened)


def _opened(function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.AsyncWith):
            for item in node.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and called(call)[1] == "open_nursery" and item.optional_vars:
                    names.add(ast.unparse(item.optional_vars))
    return frozenset(names)


def float_money(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        if not MONEY.fullmatch(file.path) or Path(file.path).stem in NO_MONEY:
            continue
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                yield file.at(node, f"the float {node.value} on a money path")
            elif isinstance(node, ast.Call) and called(node) == ("", "float"):
                yield file.at(node, "float() on a money path")
            elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div) and not _joins(node):
                yield file.at(node, "true division on a money path")


def _joins(node: ast.AST) -> bool:
    """Whether a slash joins a path: one of its parts is a text."""
    return any(isinstance(each, ast.Constant) and isinstance(each.value, str) for each in ast.walk(node))


def undecided(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        for number, line in enumerate(file.text.splitlines(), 1):
            if UNDECIDED.search(line):
                yield f"{file.path}:{number}: what is left to do names its decision: TODO(0012)"


def secrets_written(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        for node in ast.walk(file.tree):
            named: list[tuple[str, ast.expr | None]] = []
            if isinstance(node, ast.arguments):
                both = [*node.posonlyargs, *node.args]
                named = [(arg.arg, value) for arg, value in zip(reversed(both), reversed(node.defaults), strict=False)]
                named += [(arg.arg, value) for arg, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)]
            elif isinstance(node, ast.Assign):
                named = [(ast.unparse(target), node.value) for target in node.targets]
            elif isinstance(node, ast.AnnAssign):
                named = [(ast.unparse(node.target), node.value)]
            for name, value in named:
                text = value.value if isinstance(value, ast.Constant) else None
                if isinstance(text, str | bytes) and text and SECRET_NAME.search(name):
                    yield file.at(node, f"{name} has a secret written into the source")


def addresses(files: tuple[Source, ...]) -> Iterator[str]:
    for file in files:
        for number, line in enumerate(file.text.splitlines(), 1):
            if HOSTS.search(line):
                yield f"{file.path}:{number}: an address of a registry, or a path of some machine"


RULES: dict[
    str, tuple[Callable[[tuple[Source, ...]], Iterator[str]], bool]
] = {  # the rule, and whether tests keep it too
    "files are short": (long_files, True),
    "functions are short": (long_functions, True),
    "a module says what it is": (undocumented, True),
    "imports go down": (climbing_imports, False),
    "imports do not go in circles": (import_cycles, False),
    "effects live in the shell": (misplaced_effects, False),
    "time and chance come in": (read_clocks, False),
    "tasks belong to states or to a function's own nursery": (stray_tasks, False),
    "money is no float": (float_money, False),
    "what is left to do has a decision": (undecided, True),
    "no secret has a default": (secrets_written, False),
    "no address of a registry or a machine": (addresses, False),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_its_rules(rule: str) -> None:
    """Every file of the project keeps every rule; the findings are listed."""
    check, tests_too = RULES[rule]
    findings = list(check(everything() if tests_too else product()))
    assert not findings, "\n".join([f"{rule}:", *findings])


LONG = '"""A."""\n' + "x = 1\n" * FILE_LINES_MAX
SLOW = '"""A."""\n\ndef f():\n' + "    x = 1\n" * FUNCTION_LINES_MAX
BROKEN = [  # rule, path, text, how many findings
    ("files are short", "kalshi_daemon/core/a.py", LONG, 1),
    ("functions are short", "kalshi_daemon/core/a.py", SLOW, 1),
    ("a module says what it is", "kalshi_daemon/core/a.py", "x = 1\n", 1),
    ("imports go down", "kalshi_daemon/nowhere/a.py", "", 1),
    ("imports go down", "kalshi_daemon/wire/a.py", "from kalshi_daemon.core import ledger\n", 1),
    ("imports go down", "kalshi_daemon/wire/a.py", "def f():\n    from kalshi_daemon.core.ledger import Ledger\n", 1),
    ("imports go down", "kalshi_daemon/emulator/a.py", "from kalshi_daemon.core.ledger import Ledger\n", 1),
    ("imports go down", "kalshi_daemon/core/a.py", "from kalshi_daemon.units import Money\n", 0),
    ("effects live in the shell", "kalshi_daemon/core/a.py", "import trio\nimport os.path\n", 2),
    ("effects live in the shell", "kalshi_daemon/core/a.py", "import transitions\n", 1),
    ("effects live in the shell", "kalshi_daemon/policy/a.py", "x = open(y)\nz = p.read_text()\n", 2),
    ("effects live in the shell", "kalshi_daemon/charts/runner.py", "import trio\n", 0),
    ("time and chance come in", "kalshi_daemon/shell/a.py", "time.time()\ndatetime.datetime.now()\n", 2),
    ("time and chance come in", "kalshi_daemon/core/a.py", "random.random()\nrandom.Random()\nrandom.Random(7)\n", 2),
    ("time and chance come in", "kalshi_daemon/shell/clock.py", "time.time_ns()\n", 0),
    ("money is no float", "kalshi_daemon/core/fees.py", "a = 1.0\nb = float(a)\nc = a / b\nd = a // b\n", 3),
    ("money is no float", "kalshi_daemon/core/backoff.py", "a = 1.0\n", 0),
    ("what is left to do has a decision", "kalshi_daemon/core/a.py", "# TO" + "DO mend\n# TO" + "DO(0012) mend\n", 1),
    ("no secret has a default", "kalshi_daemon/shell/a.py", "def f(password='x', *, token=None): ...\n", 1),
    ("no secret has a default", "kalshi_daemon/shell/a.py", "API_KEY: str = 'x'\nprivate_key = b''\n", 1),
    ("no address of a registry or a machine", "kalshi_daemon/a.py", "x = '/ho" + "me/me/key.pem'\n", 1),
]
OWN = "async def f():\n    async with trio.open_nursery() as n:\n        n.start_soon(g)\n        await n.start(g)\n"
BORROWED = "async def f(self, nursery):\n    self._nursery.start_soon(g)\n    await nursery.start(g)\n"
TASKS = "tasks belong to states or to a function's own nursery"
BROKEN += [(TASKS, "kalshi_daemon/shell/a.py", OWN, 0), (TASKS, "kalshi_daemon/shell/a.py", BORROWED, 2)]


@pytest.mark.parametrize(("rule", "path", "text", "count"), BROKEN)
def test_each_rule_finds_what_it_is_for(rule: str, path: str, text: str, count: int) -> None:
    """A file that breaks the rule so often is found so often, and one that does not is passed over."""
    ledger = source("kalshi_daemon/core/ledger.py", '"""L."""\n')
    units = source("kalshi_daemon/units.py", '"""U."""\n')
    assert len(list(RULES[rule][0]((source(path, text), ledger, units)))) == count


def test_circles_are_found() -> None:
    """Two modules that import each other at their tops are a circle; an import inside a function is none."""
    one = source("kalshi_daemon/core/one.py", "from kalshi_daemon.core import two\n")
    two = source("kalshi_daemon/core/two.py", "from kalshi_daemon.core.one import f\n")
    lazy = source("kalshi_daemon/core/two.py", "def g():\n    from kalshi_daemon.core.one import f\n")
    (circle,) = import_cycles((one, two))
    assert circle.split(" -> ") == [one.path, two.path, one.path]
    assert list(import_cycles((one, lazy))) == []


def test_each_decision_has_a_number_of_its_own() -> None:
    """Pages are numbered from 1 without a gap, in the name and in the title."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:5] for page in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
    assert [page.read_text().split(".")[0] for page in pages] == [f"# {number}" for number in range(1, len(pages) + 1)]
