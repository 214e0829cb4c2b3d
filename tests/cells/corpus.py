# ruff: noqa: E501 - a case a line
"""Cells that have to do the same at a site as in a plain notebook."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A cell, the plain cells before it, and what to look at afterwards."""

    name: str
    body: str
    setup: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


def case(name: str, body: str, *, setup: str = "", checks: str = "") -> Case:
    """Write a case shortly: cells are split at `---`, checks at lines."""
    cells = tuple(part.strip("\n") for part in setup.split("---\n") if part.strip())
    return Case(name, body, cells, tuple(c.strip() for c in checks.splitlines() if c.strip()))


POINT = """
class Point:
    count = 0
    def __init__(self, x, y):
        self.x, self.y = x, y
    def __repr__(self):
        return f"Point({self.x}, {self.y})"
    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)
    def __hash__(self):
        return hash((self.x, self.y))
"""

CASES = [
    case("expression", "1 + 1"),
    case("assignment", "x = 1\ny = [x, 2]\nx, y"),
    case("reads", "z = x * 2\nz", setup="x = 21"),
    case("no output", "x = 5;\nx;"),
    case("print", "import sys\nprint('a', 1)\nprint('b', file=sys.stderr)\n'c'"),
    case("closure", "total = add(5) + add(6)\ntotal", setup="""
def make(n):
    def add(x):
        return x + n
    return add
add = make(10)
"""),
    case("closure state", "[inc(), inc(), get()]", setup="""
def counter():
    n = 0
    def inc():
        nonlocal n
        n += 1
        return n
    def get():
        return n
    return inc, get
inc, get = counter()
""", checks="get()\ninc()\nget()"),
    case("closure list", "add(1)\nadd(2)", setup="""
def make():
    kept = []
    def add(x):
        kept.append(x)
        return list(kept)
    return add
add = make()
""", checks="add(3)"),
    case("class of the notebook", "p.x += 1\nq = Point(5, 6)\n[p, q]", setup=POINT + "p = Point(1, 2)\nr = p",
         checks="isinstance(q, Point)\ntype(p) is Point\nr is p\np == Point(2, 2)\n{q: 1}[Point(5, 6)]"),
    case("class attribute", "Point.count += 1\nPoint.new = 'n'\nPoint.count", setup=POINT,
         checks="Point.count\nPoint(1, 2).new\nPoint(1, 2)"),
    case("class made in the cell", """
class Stack(list):
    def top(self):
        return self[-1]
s = Stack([1, 2])
s.top()
""", checks="type(s) is Stack\ns.top()\nisinstance(Stack([3]), list)\ns == [1, 2]"),
    case("inheritance", "class B(A):\n    def f(self):\n        return super().f() + 1\nb = B()\nb.f()",
         setup="class A:\n    def f(self):\n        return 1", checks="isinstance(b, A)\nB().f()\nB.__mro__[1] is A"),
    case("alias", "a.append(3)\nb", setup="a = [1, 2]\nb = a", checks="a is b\na\nb"),
    case("alias made", "y = x\nz = [x, x]", setup="x = {'k': 1}", checks="y is x\nz[0] is x and z[1] is x"),
    case("nested alias", "b[0].append(2)", setup="a = [1]\nb = [a]", checks="a\nb[0] is a"),
    case("alias in tuple", "t[0].append(2)\nu = t", setup="a = [1]\nt = (a, 5)", checks="a\nu is t or u == t\nt[0] is a\nu[0] is a"),
    case("alias not captured", "d['k'].add(5)", setup="s = {1}\nd = {'k': s}", checks="sorted(s)\nd['k'] is s"),
    case("cycle", "l.append('x')\nlen(l)", setup="l = [1]\nl.append(l)", checks="l[1] is l\nl[2]"),
    case("swap", "a, b = b, a\na[0].append(1)", setup="x = [[]]\ny = [2]\na, b = x, y", checks="a is y\nb is x\nb"),
    case("swap members", "a.append(1)\nc[0], c[1] = c[1], c[0]", setup="a = [0]\nb = [9]\nc = [a, b]",
         checks="c[1] is a\nc[0] is b\na"),
    case("dict in place", "d['b'] = 2\ndel d['a']\nd.update(c=3)", setup="d = {'a': 1}\ne = d", checks="e\nlist(e)\nd is e"),
    case("set in place", "s.add('z')\ns.discard('a')", setup="s = {'a', 'b', 'c'}\nt = s", checks="sorted(t)\ns is t"),
    case("set of strings unchanged", "len(s)", setup="s = {str(i) for i in range(50)}\nt = s", checks="s is t"),
    case("bytearray", "b[0] = 65\nb += b'!'", setup="b = bytearray(b'abc')\nc = b", checks="c\nb is c"),
    case("defaultdict", "d['x'].append(1)\nd['y']", setup="from collections import defaultdict\nd = defaultdict(list)\ne = d",
         checks="dict(e)\ne['new']\ne is d"),
    case("counter deque", "c.update('abca')\nq.appendleft(0)\nc.most_common(1)",
         setup="from collections import Counter, deque\nc = Counter()\nq = deque([1, 2], maxlen=5)\nr = q", checks="c['a']\nr\nr is q\nr.maxlen"),
    case("augmented", "n += 1\nl += [3]\nn, l", setup="n = 1\nl = [1]\nm = l", checks="m is l\nm"),
    case("del", "del x\ny = 1", setup="x = 5", checks="'x' in globals()"),
    case("del item", "del l[0], d['a']", setup="l = [1, 2]\nd = {'a': 1}", checks="l\nd"),
    case("del unpicklable", "del g", setup="g = (i for i in range(3))", checks="'g' in globals()"),
    case("comprehensions", "[i * k for i in xs if i], {i: k for i in xs}, sorted({i + k for i in xs}), sum(i for i in xs)",
         setup="xs = [0, 1, 2]\nk = 3"),
    case("loop names", "for i, v in enumerate('ab'):\n    last = v\nwhile n < 3:\n    n += 1\nelse:\n    done = True", setup="n = 0"),
    case("walrus", "if (n := len(xs)) > 2:\n    m = n\n[y := v for v in xs]\ny", setup="xs = [1, 2, 3]"),
    case("match", """
match point:
    case {"x": x, **rest}:
        r = ("map", x, rest)
    case [a, *b]:
        r = ("seq", a, b)
r
""", setup="point = {'x': 1, 'y': 2}"),
    case("match class", "match p:\n    case Point(x=1, y=yy):\n        out = yy\nout", setup=POINT + "p = Point(1, 7)"),
    case("with", "import io\nwith io.StringIO('a\\nb') as f:\n    lines = f.read().splitlines()\nlines", checks="f.closed"),
    case("with file", "with open(path) as f:\n    data = f.read()\nlen(data)", setup="import os\npath = os.devnull", checks="f.closed, f.name"),
    case("try", """
try:
    1 / 0
except ZeroDivisionError as e:
    text = str(e)
finally:
    end = 1
text
""", checks="'e' in globals()"),
    case("star unpack", "first, *rest = xs\n(a, b), c = (1, 2), 3\nprint(*rest, sep='-')", setup="xs = [1, 2, 3]"),
    case("f-string", "f'{name!r:>8} {value:.2f} {sum(xs)}'", setup="name = 'n'\nvalue = 1.234\nxs = [1, 2]"),
    case("imports", "import math\nimport os.path as p\nfrom collections import OrderedDict as OD\nmath.floor(2.5), p.basename('/a/b'), OD(a=1)",
         checks="math.pi > 3\np.join('a', 'b')\nOD is __import__('collections').OrderedDict"),
    case("module captured", "j.dumps({'a': m.sqrt(4)})", setup="import json as j\nimport math as m", checks="j.loads('1')"),
    case("submodule by attribute", "xml.dom.minidom.parseString('<a/>').documentElement.tagName", setup="import xml.dom.minidom"),
    case("star import", "from math import *\nfloor(pi)", checks="ceil(e)"),
    case("local module", "helpers_c.double(4), helpers_c.K", setup="import helpers_c"),
    case("local module imported in the cell", "import helpers_c\nfrom package_c.inner import value\nhelpers_c.double(value)", checks="helpers_c.double(1)\nvalue"),
    case("local module by function", "f(2)", setup="from helpers_c import double as f", checks="f(3)"),
    case("local class", "t = Thing(3)\nt.twice()", setup="from helpers_c import Thing", checks="isinstance(t, Thing)"),
    case("global statement", "bump()\nbump()\nn", setup="n = 0\ndef bump():\n    global n\n    n += 1", checks="n\nbump()\nn"),
    case("global new name", "make()\nfresh", setup="def make():\n    global fresh\n    fresh = [1]", checks="fresh"),
    case("function back", "def f(x):\n    return x + offset\noffset = 5\nf(1)", checks="f(2)\n(globals().__setitem__('offset', 100), f(2))[1]\nf.__globals__ is globals()"),
    case("function reads function", "outer(3)", setup="k = 2\ndef inner(x):\n    return x * k\ndef outer(x):\n    return inner(x) + 1\nunused = (i for i in [])"),
    case("recursion", "fact(5)", setup="def fact(n):\n    return 1 if n < 2 else n * fact(n - 1)"),
    case("recursive closure", "f = make()\nf(5)", setup="def make():\n    def fib(n):\n        return n if n < 2 else fib(n - 1) + fib(n - 2)\n    return fib", checks="f(6)"),
    case("decorator", """
@twice
def g(x):
    "doc"
    return x + 1
g(1)
""", setup="import functools\ndef twice(f):\n    @functools.wraps(f)\n    def wrapper(x):\n        return f(f(x))\n    return wrapper",
         checks="g(1)\ng.__name__, g.__doc__"),
    case("lru cache", "sq(3), sq(3)", setup="import functools\ndef sq(x):\n    return x * x", checks="sq(2)"),
    case("defaults", "f(1), g(1, k=5)", setup="base = 10\ndef f(x, y=base, *args):\n    return x + y\ndef g(x, *, k=2):\n    return x * k"),
    case("mutable default", "f(1)\nf(2)", setup="def f(x, seen=[]):\n    seen.append(x)\n    return list(seen)", checks="f(3)"),
    case("function attribute", "f.calls = 3", setup="def f():\n    pass", checks="f.calls"),
    case("dataclass", """
p.tags.append('t')
q = replace(p, name='q')
q, fields(P)[0].name
""", setup="""
from dataclasses import dataclass, field, replace, fields
@dataclass
class P:
    name: str
    tags: list = field(default_factory=list)
p = P('p')
r = p
""", checks="p is r\nr\nq.tags is p.tags\ntype(q) is P\nP('n')"),
    case("dataclass made", "from dataclasses import dataclass\n@dataclass(frozen=True, order=True)\nclass V:\n    a: int = 1\nv = V(2)\nv", checks="v == V(2)\nV() < v\nhash(v) == hash(V(2))"),
    case("slots", "s.a = 5\ndel s.b", setup="class S:\n    __slots__ = ('a', 'b')\ns = S()\ns.a = 1\ns.b = 2\nt = s", checks="t.a\nhasattr(t, 'b')\ns is t"),
    case("enum", "c = Color.RED\nd = Color(2)\nc, d", setup="from enum import Enum\nclass Color(Enum):\n    RED = 1\n    BLUE = 2", checks="c is Color.RED\nd is Color.BLUE\nisinstance(c, Color)"),
    case("enum made", "from enum import IntEnum\nclass E(IntEnum):\n    A = 1\ne = E.A\ne + 1", checks="e is E.A\nE(1) is e"),
    case("namedtuple", "q = p._replace(x=9)\nq", setup="from collections import namedtuple\nP = namedtuple('P', 'x y')\np = P(1, 2)", checks="type(q) is P\nisinstance(q, tuple)"),
    case("abc", "c = C()\nc.f()", setup="from abc import ABC, abstractmethod\nclass A(ABC):\n    @abstractmethod\n    def f(self): ...\nclass C(A):\n    def f(self):\n        return 'f'", checks="isinstance(c, A)\nissubclass(C, A)"),
    case("property", "t.c = 100\nt.f", setup="class T:\n    def __init__(self):\n        self.c = 0\n    @property\n    def f(self):\n        return self.c * 1.8 + 32\n    @staticmethod\n    def s():\n        return 's'\n    @classmethod\n    def k(cls):\n        return cls.__name__\nt = T()", checks="t.f\nT.s(), T.k()"),
    case("cached property", "c.big", setup="from functools import cached_property\nclass C:\n    n = 0\n    @cached_property\n    def big(self):\n        type(self).n += 1\n        return 7\nc = C()", checks="c.big\nC.n\n'big' in vars(c)"),
    case("lambda in containers", "fs['sq'](3), gs[1](2)\nfs['new'] = lambda x: x + k\nfs['new'](1)", setup="k = 5\nfs = {'sq': lambda x: x * x}\ngs = [abs, lambda x: x * k]", checks="fs['new'](2)\nsorted(fs)"),
    case("partial", "p(3)", setup="from functools import partial\ndef add(a, b):\n    return a + b + k\nk = 1\np = partial(add, 10)", checks="p(1)"),
    case("bound method", "m(5)", setup="class A:\n    def __init__(self):\n        self.t = 0\n    def add(self, x):\n        self.t += x\n        return self.t\na = A()\nm = a.add", checks="a.t\nm(1)\na.t"),
    case("generator function", "list(gen(3))", setup="def gen(n):\n    for i in range(n):\n        yield i * k\nk = 2", checks="list(gen(2))"),
    case("iterator consumed", "next(it), next(it)", setup="it = iter([1, 2, 3])", checks="next(it)"),
    case("exception", "1 / 0"),
    case("exception after assignment", "a = 1\nl.append(2)\nraise ValueError('no', 3)\nb = 2", setup="l = []", checks="a\nl\n'b' in globals()"),
    case("exception nested", "x = 1\nouter(0)", setup="def inner(v):\n    return 1 / v\ndef outer(v):\n    return inner(v)", checks="x"),
    case("exception of the notebook", "raise Mine(4, 'x')", setup="class Mine(Exception):\n    def __init__(self, code, text):\n        super().__init__(text)\n        self.code = code"),
    case("exception chained", "try:\n    {}['k']\nexcept KeyError as e:\n    raise RuntimeError('wrapped') from e"),
    case("exception made in the cell", "class Odd(ValueError):\n    pass\nraise Odd('odd')", checks="issubclass(Odd, ValueError)"),
    case("name error", "undefined_name + 1"),
    case("syntax error", "x = = 1"),
    case("syntax error later", "x = 1\nreturn x"),
    case("os error", "open('/nonexistent/file')"),
    case("exception group", "raise ExceptionGroup('g', [ValueError('a'), KeyError('b')])"),
    case("assert", "assert x == 2, 'x is not 2'", setup="x = 1"),
    case("exception value kept", "try:\n    int('x')\nexcept ValueError as e:\n    err = e", checks="type(err).__name__, str(err)"),
    case("async", "import asyncio\nawait asyncio.sleep(0)\nr = await f(2)\nr", setup="async def f(x):\n    return x * 2"),
    case("async for", "r = [x async for x in agen(3)]\nasync with Ctx() as c:\n    r.append(c)\nr", setup="async def agen(n):\n    for i in range(n):\n        yield i\nclass Ctx:\n    async def __aenter__(self):\n        return 'in'\n    async def __aexit__(self, *a):\n        return False"),
    case("gather", "import asyncio\nawait asyncio.gather(*(f(i) for i in range(3)))", setup="async def f(x):\n    return x + 1"),
    case("numpy", "a *= 2\nb = a.sum()\nb", setup="import numpy as np\na = np.arange(5)\nc = a", checks="c is a\na\nb"),
    case("numpy view", "v[:] = 0\nx", setup="import numpy as np\nx = np.arange(10)\nv = x[2:5]", checks="x\nv\nnp.shares_memory(x, v)"),
    case("numpy view made", "v = x[1:3]\nw = x.reshape(2, 5)\nw[0, 0] = 50", setup="import numpy as np\nx = np.arange(10)", checks="np.shares_memory(x, v)\n(x.__setitem__(1, -1), v)[1]\nx\nw"),
    case("numpy new views", "a = np.zeros(4)\nb = a[1:]\nb[:] = 3", setup="import numpy as np", checks="a\nnp.shares_memory(a, b)"),
    case("numpy large", "a[0] = 7\ns = float(a.sum())\ns", setup="import numpy as np\na = np.ones((300, 300))\nb = a", checks="b[0, 0]\na is b\na.flags.writeable"),
    case("numpy readonly", "a[0] = 1", setup="import numpy as np\na = np.zeros(3)\na.flags.writeable = False", checks="a"),
    case("numpy large readonly", "a[0] = 1", setup="import numpy as np\na = np.zeros(30000)\na.flags.writeable = False"),
    case("numpy objects", "o[0].append(1)", setup="import numpy as np\nl = []\no = np.array([l, None], dtype=object)", checks="l\no[0] is l"),
    case("numpy rebound", "a = a + 1\na", setup="import numpy as np\na = np.arange(3)\nb = a", checks="b\na is b"),
    case("numpy random", "rng.integers(100, size=3)", setup="import numpy as np\nrng = np.random.default_rng(3)\nrng2 = rng", checks="rng.integers(100)"),
    case("frame", "df['c'] = df.a * 2\ndf.loc[0, 'a'] = 100\ndf", setup="import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\ne = df", checks="e\ne is df\nlist(e.columns)"),
    case("frame made", "g = df.groupby('k').v.sum()\ng", setup="import pandas as pd\ndf = pd.DataFrame({'k': list('aab'), 'v': [1, 2, 3]})", checks="g['a']\ng.index.name"),
    case("series", "s.iloc[0] = 9\ns.drop(1, inplace=True)", setup="import pandas as pd\ns = pd.Series([1, 2, 3])\nt = s", checks="t\nt is s"),
    case("frame dropped in place", "df.drop(columns='a', inplace=True)", setup="import pandas as pd\ndf = pd.DataFrame({'a': [1], 'b': [2]})\ne = df", checks="list(e)\ne is df"),
    case("matplotlib", "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(1, 1))\nax.plot([1, 2])\nprint('drawn')", checks="type(fig).__name__\nplt.get_fignums()"),
    case("matplotlib value", "ax.plot([1, 3])", setup="import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(1, 1))\nplt.close('all')", checks="len(ax.lines)"),
    case("plotly", "import plotly.graph_objects as go\nf = go.Figure(go.Scatter(y=[1, 2]))\nf", checks="type(f).__name__\nf.data[0].y"),
    case("display", "from IPython.display import HTML, Markdown\ndisplay(HTML('<b>x</b>'))\nprint('between')\ndisplay({'text/plain': 'raw'}, raw=True)\nMarkdown('**m**')"),
    case("display update", "h = display('one', display_id='d1')\nh.update('two')"),
    case("clear output", "from IPython.display import clear_output\nprint('gone')\nclear_output(wait=True)\nprint('there')"),
    case("own repr", "c = C()\ndisplay(c)\nc", setup="class C:\n    def _repr_html_(self):\n        return '<i>c</i>'\n    def __repr__(self):\n        return 'c'"),
    case("broken repr", "Bad()", setup="class Bad:\n    def __repr__(self):\n        return 'bad'\n    def _repr_html_(self):\n        return None"),
    case("shell", "!echo one\nout = !echo two\nout[0]"),
    case("shell with names", "!echo {word} $word\nr = !echo {n + 1}\nr[0]", setup="word = 'w'\nn = 1"),
    case("time magic", "%time y = f(3)", setup="def f(x):\n    return x * 2", checks="y"),
    case("capture magic", "%%capture cap\nprint('hidden', x)", setup="x = 3", checks="cap.stdout"),
    case("unknown magic", "%nosuchmagic"),
    case("warning", "import warnings\nwarnings.warn('careful')\n1"),
    case("logging", "import logging\nlog = logging.getLogger('t')\nlog.warning('logged %d', x)", setup="x = 4"),
    case("get_ipython", "get_ipython().__class__.__name__ != '', __name__"),
    case("main module", "import sys, __main__\nx = 3\n__main__.x, sys.modules['__main__'].__dict__ is globals()"),
    case("globals", "globals()['made'] = 5\nmade", checks="made"),
    case("class scope", "class K:\n    y = x + 1\n    z = [y for _ in range(2)] if False else x\nK.y, K.z", setup="x = 1"),
    case("nested functions", "def a():\n    def b():\n        return x + y\n    return b()\ny = 5\na()", setup="x = 1"),
    case("annotations", "v: int = 3\nw: str\nv", checks="'w' in globals()"),
    case("future", "def f(x: Undefined) -> Nope: return x\nf(1)", setup="from __future__ import annotations"),
    case("datetime", "from datetime import date, timedelta\nd + timedelta(days=n)", setup="import datetime\nd = datetime.date(2020, 1, 31)\nn = 1"),
    case("decimal", "Decimal('0.1') + total", setup="from decimal import Decimal\ntotal = Decimal('0.2')"),
    case("large text", "len(text), text[-1]", setup="text = 'ä' * 200000", checks="len(text)"),
    case("large list", "xs[5] = -1\nsum(xs)", setup="xs = list(range(50000))\nys = xs", checks="ys[5]\nxs is ys"),
    case("unicode", "print('ü€😀')\n'ß'"),
    case("blank lines", "\n\n1 / 0"),
    case("blank body", "\n# only a comment\n"),
    case("exit code", "import subprocess\nsubprocess.run(['true']).returncode"),
    case("type parameters", "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass Box(Generic[T]):\n    def __init__(self, v: T):\n        self.v = v\nb = Box[int](3)\nb.v", checks="isinstance(b, Box)"),
    case("metaclass", "class D(C, metaclass=Meta):\n    pass\nD.tag", setup="class Meta(type):\n    def __new__(m, n, b, d):\n        c = super().__new__(m, n, b, d)\n        c.tag = n\n        return c\nclass C(metaclass=Meta):\n    pass", checks="type(D) is Meta\nissubclass(D, C)"),
    case("weird name order", "b = a\na = 2\nb", setup="a = 1"),
    case("redefined before read", "g = 5\ng + 1", setup="g = (i for i in range(2))"),
    case("opaque in list", "l[0].seek(0)\nl[0].write('zz')", setup="import io\nb = io.StringIO('abc')\nl = [b]", checks="l[0].getvalue()\nl[0] is b\nb.getvalue()"),
    case("instance graph", "a.child.items.append(1)\na.child.parent = a\na.new = a.child", setup="class N:\n    pass\na = N()\na.child = N()\na.child.items = []\nc = a.child\ni = c.items", checks="c.items is i\ni\nc.parent is a\na.new is c"),
    case("set of instances", "s.add(Point(3, 3))\nlen(s)", setup=POINT + "p = Point(1, 1)\ns = {p}", checks="p in s\nPoint(3, 3) in s\nany(x is p for x in s)"),
    case("exception with notes", "e = ValueError('v')\ne.add_note('a note')\nraise e"),
]  # fmt: skip
