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


@dataclass(frozen=True)
class Known:
    """A difference that has to be: what of it is different, and which line of the docs says so.

    `differs` has, by what is looked at, patterns for the plain cell and for the one at a site.
    """

    case: Case
    says: str
    differs: dict[str, tuple[str, str]]


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
    # Aliases and containers.
    case("alias inside containers", "d['a'].append(3)\nd['b'][0] is d['a'], pairs[0][1] is d['a']", setup="x = [1]\nd = {'a': x, 'b': (x, 2)}\npairs = [(1, x)]", checks="x\nd['a'] is x\nd['b'][0] is x\npairs[0][1] is x"),
    case("alias of a made object", "d = {}\ne = [d, d]\nf = (e, e)\nd['k'] = f", checks="e[0] is d\ne[1] is d\nd['k'][0] is e"),
    case("two names for one instance", "a.n += 1\nb.n += 1\na is b, a.n", setup="class C:\n    n = 0\na = b = C()", checks="a is b\na.n"),
    case("copy is no alias", "b = list(a)\nb.append(1)\na, b", setup="a = [0]", checks="a is b\na\nb"),
    case("slice assignment", "a[1:3] = [9]\na[::2] = [7] * len(a[::2])", setup="a = [1, 2, 3, 4]\nb = a", checks="b\nb is a"),
    case("dict order", "d['z'] = 1\nd['a'] = d.pop('a')\nd |= {'b': 2}\nlist(d)", setup="d = {'a': 0, 'c': 1}\ne = d", checks="list(e)\ne is d"),
    case("set operators in place", "s &= {1, 2}\ns ^= {2, 5}\nsorted(s)", setup="s = {1, 2, 3}\nt = s", checks="t is s\nsorted(t)"),
    case("frozen set", "f = frozenset(xs) | {4}\nsorted(f), f >= frozenset(xs)", setup="xs = [1, 2]", checks="type(f)"),
    case("chain map and ordered dict", "c['new'] = 1\no.move_to_end('a')\nlist(o)", setup="from collections import ChainMap, OrderedDict\nbase = {'k': 0}\nc = ChainMap({}, base)\no = OrderedDict(a=1, b=2)\np = o", checks="c['new'], c['k']\nlist(p)\np is o"),
    case("heap", "import heapq\nheapq.heappush(h, 0)\nheapq.heappop(h)", setup="h = [1, 5, 3]\ng = h", checks="g\ng is h"),
    case("bytearray and memoryview", "m = memoryview(b)\nm[0] = 65\nr = bytes(m[:2])\ndel m\nr", setup="b = bytearray(b'xyz')\nc = b", checks="c\nc is b"),
    case("memoryview in the cell", "bytes(memoryview(data)[2:4]), sum(memoryview(data))", setup="data = bytes(range(8))"),
    case("array module", "a.append(4)\na[0] = 9\nsum(a)", setup="from array import array\na = array('i', [1, 2, 3])", checks="list(a)\na.typecode"),
    # Names and scopes.
    case("walrus in comprehension", "r = [y := f(v), y ** 2]\nt = [z for v in range(3) if (z := v * 2)]\nr, t, z", setup="v = 2\ndef f(x):\n    return x + 1", checks="y\nz"),
    case("closures over a loop variable", "fs = [lambda: i for i in range(3)]\ngs = [lambda i=i: i for i in range(3)]\n[f() for f in fs], [g() for g in gs]", checks="[f() for f in fs]\n[g() for g in gs]"),
    case("closures of a plain loop", "for i in range(3):\n    fs.append(lambda: i + k)\n[f() for f in fs]", setup="fs = []\nk = 10", checks="i\n[f() for f in fs]\n(globals().__setitem__('i', 7), [f() for f in fs])[1]"),
    case("global and nonlocal", "outer()\ntotal", setup="total = 0\ndef outer():\n    n = 0\n    def inner():\n        global total\n        nonlocal n\n        n += 1\n        total += n\n    inner()\n    inner()\n    return n", checks="total\nouter()\ntotal"),
    case("del in a loop", "for k in list(d):\n    if d[k] < 2:\n        del d[k]\nfor n in range(2):\n    if n:\n        del x\ndel k", setup="d = {'a': 1, 'b': 2}\nx = y = 0", checks="d\nn\n'x' in globals()"),
    case("del and bind again", "del x\nx = [2]", setup="x = [1]\ny = x", checks="x, y\nx is y"),
    case("star import of a local module", "from helpers_c import *\ndouble(K)", checks="double(2)\nK"),
    case("names in unicode", "größe = ñ * 2\nΔx = größe - 1\nπ = 3\nΔx", setup="ñ = 4", checks="größe, Δx, π"),
    case("builtins shadowed", "sum(len(list))", setup="list = [1, 2]\ndef sum(x):\n    return -x", checks="sum(5)"),
    case("chained comparison and ternary", "a = 1 < x < 5 and x or -1\nb = 'big' if x > 2 else 'small'\na, b", setup="x = 3"),
    case("loop with else and break", "for p in range(2, 30):\n    for q in range(2, p):\n        if p % q == 0:\n            break\n    else:\n        primes.append(p)\nprimes", setup="primes = []\nsame = primes", checks="same is primes\np, q"),
    case("print options", "print('a', 'b', sep='', end='|')\nprint(*xs, sep='\\n', flush=True)", setup="xs = [1, 2]"),
    case("In and Out", "x = 5\nx + 1", setup="1 + 1\n---\n_ + 1", checks="x"),
    case("semicolon after a call", "xs.append(1);\nlen(xs);", setup="xs = []", checks="xs"),
    case("percent signs in strings", "s = '''\n%%grid\n%time\n!ls\n'''\nt = '%d %%' % 5\ns, t", checks="s\nt"),
    case("comment and docstring", "'''A text at the top.'''\n# and a comment\nx = 1", checks="x"),
    case("long lines and continuation", "total = 1 + \\\n    2 + (\n    3\n)\ntotal"),
    case("several values on a line", "a = 1; b = 2; a + b"),
    case("nodes shown all", "x\nx + 1\ny = 5\ny", setup="get_ipython().ast_node_interactivity = 'all'\nx = 1", checks="get_ipython().ast_node_interactivity"),
    case("last assignment shown", "z = x * 2", setup="get_ipython().ast_node_interactivity = 'last_expr_or_assign'\nx = 4", checks="z"),
    case("nothing shown", "x", setup="get_ipython().ast_node_interactivity = 'none'\nx = 4"),
    # Functions and classes.
    case("generator with state", "def count():\n    n = yield 'start'\n    while True:\n        n = yield n * 2\ng = count()\nout = [next(g), g.send(3), g.send(5)]\ng.close()\ndel g\nout"),
    case("generator pipeline", "sum(square(evens(range(10))))", setup="def evens(xs):\n    yield from (x for x in xs if x % 2 == 0)\ndef square(xs):\n    for x in xs:\n        yield x * x"),
    case("async generator and comprehension", "[(i, j) async for i in ticks(2) for j in range(2)]", setup="import asyncio\nasync def ticks(n):\n    for i in range(n):\n        await asyncio.sleep(0)\n        yield i"),
    case("async in functions", "async def work(n):\n    async with lock:\n        seen.append(n)\n    return n\nlock = asyncio.Lock()\nr = await asyncio.gather(*map(work, range(3)))\ndel lock\nr", setup="import asyncio\nseen = []", checks="seen"),
    case("async error", "await f()", setup="async def f():\n    raise LookupError('in a coroutine')"),
    case("await with a timeout", "import asyncio\ntry:\n    async with asyncio.timeout(0.01):\n        await asyncio.sleep(5)\nexcept TimeoutError as e:\n    late = type(e).__name__\nlate"),
    case("async task group", "async with asyncio.TaskGroup() as group:\n    tasks = [group.create_task(f(i)) for i in range(3)]\nr = [t.result() for t in tasks]\ndel group, tasks\nr", setup="import asyncio\nasync def f(i):\n    return i * i"),
    case("class redefined", "class A:\n    v = 2\n    def f(self):\n        return self.v\nb = A()\na.f(), b.f(), type(a) is type(b)", setup="class A:\n    v = 1\n    def f(self):\n        return self.v\na = A()\nOld = A", checks="type(a) is Old\ntype(b) is A\na.f(), b.f()\nA is Old"),
    case("own class patched", "def g(self):\n    return self.x + 100\nPoint.g = g\nPoint.__repr__ = lambda self: 'patched'\np.g(), repr(p)", setup=POINT + "p = Point(1, 2)\nq = p", checks="p.g()\nrepr(q)\nPoint(3, 4).g()"),
    case("instance patched", "p.describe = lambda: f'{p.x}!'\np.describe()", setup=POINT + "p = Point(1, 2)", checks="p.describe()\n'describe' in vars(p)"),
    case("class registry", "class C(Base):\n    pass\nsorted(Base.known)", setup="class Base:\n    known = {}\n    def __init_subclass__(cls, **named):\n        super().__init_subclass__(**named)\n        Base.known[cls.__name__] = cls\nclass A(Base):\n    pass", checks="sorted(Base.known)\nBase.known['A'] is A\nBase.known['C'] is C"),
    case("descriptor", "t.v = 5\nt.v, T.v.name", setup="class D:\n    def __set_name__(self, owner, name):\n        self.name = name\n    def __get__(self, obj, owner=None):\n        return self if obj is None else obj.__dict__.get('_' + self.name, 0)\n    def __set__(self, obj, value):\n        obj.__dict__['_' + self.name] = value * 2\nclass T:\n    v = D()\nt = T()", checks="t.v\nT.v.name"),
    case("operators of a class", "v + w == V(4, 6), -v, v @ w, list(v), v[0], len(v), bool(V(0, 0))", setup="class V:\n    def __init__(self, *xs):\n        self.xs = xs\n    def __add__(self, o):\n        return V(*(a + b for a, b in zip(self.xs, o.xs)))\n    def __neg__(self):\n        return V(*(-x for x in self.xs))\n    def __matmul__(self, o):\n        return sum(a * b for a, b in zip(self.xs, o.xs))\n    def __eq__(self, o):\n        return self.xs == o.xs\n    def __iter__(self):\n        return iter(self.xs)\n    def __getitem__(self, i):\n        return self.xs[i]\n    def __len__(self):\n        return len(self.xs)\n    def __bool__(self):\n        return any(self.xs)\n    def __repr__(self):\n        return f'V{self.xs}'\nv, w = V(1, 2), V(3, 4)"),
    case("getattr and call", "d.anything, d(3)", setup="class Dyn:\n    def __getattr__(self, name):\n        if name.startswith('__'):\n            raise AttributeError(name)\n        return name.upper()\n    def __call__(self, x):\n        return x + 1\nd = Dyn()", checks="d.other\nd(1)"),
    case("context manager of the notebook", "with Timer() as t:\n    t.log.append('body')\nt.log", setup="class Timer:\n    def __enter__(self):\n        self.log = ['in']\n        return self\n    def __exit__(self, *error):\n        self.log.append('out')\n        return False", checks="t.log"),
    case("context manager from a generator", "with tag('b'):\n    out.append('text')\nout", setup="from contextlib import contextmanager\nout = []\n@contextmanager\ndef tag(name):\n    out.append(f'<{name}>')\n    yield\n    out.append(f'</{name}>')", checks="out"),
    case("exit stack", "with ExitStack() as stack:\n    for n in range(3):\n        stack.callback(done.append, n)\ndel stack\ndone", setup="from contextlib import ExitStack\ndone = []", checks="done"),
    case("decorator with state", "f(2)\nf(3)\nf.calls", setup="def counted(g):\n    def inner(*args):\n        inner.calls += 1\n        return g(*args)\n    inner.calls = 0\n    return inner\n@counted\ndef f(x):\n    return x", checks="f.calls\nf(1)\nf.calls"),
    case("class decorator", "@register\nclass B:\n    pass\nsorted(known)", setup="known = {}\ndef register(cls):\n    known[cls.__name__] = cls\n    return cls\n@register\nclass A:\n    pass", checks="known['B'] is B\nknown['A'] is A"),
    case("single dispatch", "show(1), show('a'), show([1])", setup="from functools import singledispatch\n@singledispatch\ndef show(x):\n    return 'other'\n@show.register\ndef _(x: int):\n    return 'int'\n@show.register(str)\ndef _(x):\n    return 'str'"),
    case("reduce and operators", "reduce(op.mul, xs), sorted(ps, key=op.itemgetter('b')), op.attrgetter('real')(3)", setup="from functools import reduce\nimport operator as op\nxs = [1, 2, 3]\nps = [{'b': 2}, {'b': 1}]"),
    case("partial of a method", "add5(1), up('a')", setup="from functools import partial\nclass A:\n    def add(self, x, y):\n        return x + y\nadd5 = partial(A().add, 5)\nup = partial(str.upper)", checks="add5(2)"),
    case("dispatch table", "table['+'](2, 3), table['neg'](4)\ntable['sq'] = lambda x: x * x\nsorted(table)", setup="import operator\ntable = {'+': operator.add, 'neg': lambda x: -x}", checks="table['sq'](5)\ntable['+'](1, 1)"),
    case("recursion deep", "depth(500)", setup="def depth(n):\n    return 0 if n == 0 else 1 + depth(n - 1)"),
    case("recursion error", "try:\n    f(0)\nexcept RecursionError as e:\n    name = type(e).__name__\nname", setup="def f(n):\n    return f(n + 1)"),
    case("recursion limit", "import sys\nsys.getrecursionlimit()", setup="import sys\nsys.setrecursionlimit(2345)", checks="sys.getrecursionlimit()"),
    case("mutual recursion", "even(10), odd(7)", setup="def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)"),
    case("memo by hand", "fib(30), len(memo)", setup="memo = {}\ndef fib(n):\n    if n < 2:\n        return n\n    if n not in memo:\n        memo[n] = fib(n - 1) + fib(n - 2)\n    return memo[n]", checks="len(memo)\nmemo[30]"),
    case("type hints forward", "class Tree:\n    left: 'Tree | None' = None\n    def child(self) -> 'Tree':\n        return Tree()\ntyping.get_type_hints(Tree.child)['return'] is Tree", setup="import typing", checks="typing.get_type_hints(Tree.child)['return'] is Tree"),
    case("typed dict and protocol", "class P(Protocol):\n    def f(self) -> int: ...\nclass TD(TypedDict):\n    a: int\nt: TD = {'a': 1}\nt", setup="from typing import Protocol, TypedDict", checks="t\nTD.__annotations__"),
    case("newtype", "UserId = NewType('UserId', int)\nu = UserId(5)\nu + 1", setup="from typing import NewType", checks="u"),
    case("dataclass inheritance", "b = B(1, 2)\nb.total(), asdict(b)", setup="from dataclasses import dataclass, asdict, field\n@dataclass\nclass A:\n    x: int\n    def total(self):\n        return self.x\n@dataclass\nclass B(A):\n    y: int = 0\n    tags: list = field(default_factory=list, repr=False)\n    def total(self):\n        return super().total() + self.y", checks="isinstance(b, A), type(b) is B\nb == B(1, 2)\nb.total()"),
    case("dataclass frozen error", "p.x = 5", setup="from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    x: int\np = P(1)", checks="p.x"),
    case("enum members and flags", "Perm.R | Perm.W, Perm(1), Color['RED'].value, [c.name for c in Color]", setup="import enum\nclass Perm(enum.Flag):\n    R = 1\n    W = 2\nclass Color(enum.Enum):\n    RED = 'r'\n    BLUE = 'b'", checks="Color('b') is Color.BLUE"),
    case("enum in containers", "counts[Color.RED] += 1\n[c for c in counts]", setup="import enum, collections\nclass Color(enum.Enum):\n    RED = 1\ncounts = collections.Counter()\nkeep = counts", checks="counts[Color.RED]\nkeep is counts"),
    case("named tuple typed", "p.moved(2)", setup="from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int = 0\n    def moved(self, d):\n        return self._replace(x=self.x + d)\np = P(1)", checks="type(p.moved(1)) is P"),
    case("classes travel twice", "made = [Point(i, i) for i in range(3)]\nmade[0] == Point(0, 0)", setup=POINT, checks="all(type(p) is Point for p in made)\nisinstance(made[2], Point)\nmade[1] == Point(1, 1)"),
    case("match on classes and guards", "def kind(v):\n    match v:\n        case int(n) if n > 5:\n            return 'large'\n        case int():\n            return 'int'\n        case {'a': [x, *_]}:\n            return x\n        case Point(x=x) | [x]:\n            return x\n        case None | '':\n            return 'empty'\n        case _:\n            return 'other'\n[kind(v) for v in vs]", setup=POINT + "vs = [9, 1, {'a': [3, 4]}, Point(7, 8), [5], None, 2.5]"),
    # Values.
    case("large ints", "a = 2 ** 500\nb = a // 3 ** 50\nlen(str(a * b))", checks="a - 2 ** 500\nb.bit_length()"),
    case("floats and complex", "float('nan') != float('nan'), float('inf'), -0.0, 0.1 + 0.2, complex(1, -2) ** 2"),
    case("decimal context", "Decimal(1) / Decimal(3)", setup="from decimal import Decimal, getcontext\ngetcontext().prec = 6", checks="getcontext().prec"),
    case("decimal context set in the cell", "getcontext().prec = 4\nDecimal(2) / 3", setup="from decimal import Decimal, getcontext", checks="getcontext().prec\nDecimal(2) / 3"),
    case("fraction", "f + Fraction(1, 3), f.limit_denominator(2)", setup="from fractions import Fraction\nf = Fraction(3, 7)"),
    case("paths", "q = p / 'sub' / 'x.txt'\nq.suffix, q.parent == p / 'sub', str(q)", setup="from pathlib import Path, PurePosixPath\np = PurePosixPath('/data')", checks="type(q)\nq.name"),
    case("regular expressions", "m = word.findall(text)\nk = word.sub('_', text, count=1)\nm, k", setup="import re\nword = re.compile(r'(\\w+)ing', re.I)\ntext = 'Running and singing'", checks="word.flags"),
    case("match object in the cell", "m = re.search(r'(?P<y>\\d{4})', text)\ny = m['y']\nspan = m.span()\ndel m\ny, span", setup="import re\ntext = 'in 1984'"),
    case("uuid", "u.int == uuid.UUID(str(u)).int, uuid.uuid5(u, 'x')", setup="import uuid\nu = uuid.UUID(int=5)"),
    case("datetime with zone", "t + timedelta(hours=30), t.astimezone(timezone.utc).hour, t.tzinfo.key", setup="from datetime import datetime, timedelta, timezone\nfrom zoneinfo import ZoneInfo\nt = datetime(2024, 3, 30, 22, tzinfo=ZoneInfo('Europe/Berlin'))", checks="t.utcoffset()"),
    case("json and string io", "buf = io.StringIO()\njson.dump({'b': [1, None], 'a': 'ü'}, buf, sort_keys=True, ensure_ascii=False)\ntext = buf.getvalue()\ntext", setup="import io, json", checks="buf.getvalue()"),
    case("pickle in the cell", "p2 = pickle.loads(pickle.dumps(p))\np2 == p, type(p2) is type(p)", setup="import pickle\n" + POINT + "p = Point(1, 2)", checks="type(p2) is Point"),
    case("weak references", "import weakref\nr = weakref.ref(p)\nalive = r() is p\ndel r\nalive", setup=POINT + "p = Point(1, 2)"),
    case("copy module", "c = copy.deepcopy(d)\nc['a'].append(2)\nd, c", setup="import copy\nd = {'a': [1]}", checks="c['a'] is d['a']"),
    case("itertools", "list(islice(cycle(xs), 5)), [list(g) for _, g in groupby('aab')], list(pairwise(xs))", setup="from itertools import cycle, groupby, islice, pairwise\nxs = [1, 2]"),
    case("infinite counter goes on", "next(c), next(c)", setup="from itertools import count\nc = count(5)", checks="next(c)"),
    case("zip and enumerate kept", "z = list(zip('ab', range(2)))\ne = dict(enumerate('xy'))\nz, e"),
    case("string formatting", "'{:>10.2f}|{:<5}|{!r}'.format(3.14159, 'ab', 'q'), f'{x:,}', f'{x=}', '%5.1f' % 2", setup="x = 1234567"),
    case("bytes", "b.hex(), b.decode('latin-1'), bytes.fromhex('ff00'), int.from_bytes(b, 'big')", setup="b = b'\\xe4\\x00'"),
    case("random module", "random.random(), random.choice(xs), random.sample(xs, 2)", setup="import random\nrandom.seed(5)\nxs = [1, 2, 3, 4]", checks="random.random()"),
    case("random instance", "r.random(), r.gauss(0, 1)", setup="import random\nr = random.Random(3)\ns = r", checks="r.random()"),
    case("numpy random global", "np.random.rand(2), np.random.randint(10)", setup="import numpy as np\nnp.random.seed(3)", checks="np.random.rand()\nnp.random.normal()"),
    case("numpy random generators", "a.normal(size=2), b.integers(10)\nc = np.random.Generator(np.random.PCG64(5))\nc.random()", setup="import numpy as np\na = np.random.default_rng(1)\nb = a.spawn(1)[0]", checks="a.random()\nb.random()\nc.random()"),
    # NumPy and pandas.
    case("numpy print options", "np.array([1.23456789, 1e-9])", setup="import numpy as np\nnp.set_printoptions(precision=2, suppress=True)", checks="np.get_printoptions()['precision']"),
    case("numpy print options set in the cell", "np.set_printoptions(precision=3)\nnp.array([1 / 3])", setup="import numpy as np", checks="np.get_printoptions()['precision']\nrepr(np.array([1 / 3]))"),
    case("numpy errors raised", "np.array([1.0]) / 0", setup="import numpy as np\nnp.seterr(all='raise')", checks="np.geterr()['divide']"),
    case("numpy warning", "np.array([1.0]) / 0", setup="import numpy as np"),
    case("numpy structured", "r['a'] += 1\nr[r['b'] > 1.5]", setup="import numpy as np\nr = np.array([(1, 1.0), (2, 2.0)], dtype=[('a', 'i4'), ('b', 'f8')])\ns = r", checks="s is r\ns['a'].tolist()\nr.dtype.names"),
    case("numpy masked", "m[0] = np.ma.masked\nm.mean(), m.filled(-1)", setup="import numpy as np\nm = np.ma.array([1.0, 2.0, 3.0], mask=[0, 0, 1])", checks="m.mask.tolist()\nm.sum()"),
    case("numpy dtypes", "a.astype('datetime64[M]'), np.array(['x', 'yy']).dtype, b.view('u1')", setup="import numpy as np\na = np.array(['2024-01-15'], dtype='datetime64[D]')\nb = np.array([1], dtype='>u2')"),
    case("numpy broadcasting and indexing", "x[..., None] * y, x[x > 1], np.where(x > 1, x, 0), x[[0, 2]]", setup="import numpy as np\nx = np.arange(3)\ny = np.array([1, 10])"),
    case("numpy fortran and strides", "f[0, 0] = 9\nf.flags.f_contiguous, t.strides, t[0, 0]", setup="import numpy as np\nf = np.asfortranarray(np.ones((2, 3)))\nt = f.T", checks="t[0, 0]\nnp.shares_memory(f, t)\nf.flags.f_contiguous"),
    case("numpy scalars", "x = a[1]\ntype(x).__name__, x + 1, x.item()", setup="import numpy as np\na = np.arange(3, dtype='i2')", checks="x.dtype"),
    case("pandas options", "df", setup="import pandas as pd\npd.set_option('display.precision', 2)\npd.set_option('display.max_rows', 4)\ndf = pd.DataFrame({'a': [i / 7 for i in range(9)]})", checks="pd.get_option('display.max_rows')"),
    case("pandas float format", "df", setup="import pandas as pd\npd.options.display.float_format = '{:.1f}'.format\ndf = pd.DataFrame({'a': [1.234, 5.678]})"),
    case("pandas options set in the cell", "pd.options.display.max_columns = 3\ndf", setup="import pandas as pd\ndf = pd.DataFrame([range(9)])", checks="pd.options.display.max_columns\nrepr(df)"),
    case("frame view and copy", "b.loc[0, 'a'] = 50\nc['a'] = 7\na", setup="import pandas as pd\na = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})\nb = a\nc = a.copy()", checks="a\nb is a\nc"),
    case("frame chained", "(df.assign(c=lambda d: d.a + d.b).query('c > 4').sort_values('c').reset_index(drop=True))", setup="import pandas as pd\ndf = pd.DataFrame({'a': [1, 2, 3], 'b': [3, 2, 1]})"),
    case("frame merged and pivoted", "left.merge(right, on='k').pivot_table(index='k', values=['v', 'w'], aggfunc='sum')", setup="import pandas as pd\nleft = pd.DataFrame({'k': list('aab'), 'v': [1, 2, 3]})\nright = pd.DataFrame({'k': list('ab'), 'w': [10, 20]})"),
    case("categorical", "s = s.cat.add_categories('z')\ndf.c.cat.codes.tolist(), s.cat.categories.tolist(), df.c.value_counts().to_dict()", setup="import pandas as pd\ndf = pd.DataFrame({'c': pd.Categorical(['x', 'y', 'x'])})\ns = df.c", checks="s.dtype.name\ndf.c.cat.categories.tolist()"),
    case("frame with times and zones", "df['local'] = df.t.dt.tz_convert('Europe/Berlin')\ndf.local.dt.hour.tolist(), df.set_index('t').resample('D').size().tolist()", setup="import pandas as pd\ndf = pd.DataFrame({'t': pd.date_range('2024-03-31', periods=3, freq='6h', tz='UTC')})\ne = df", checks="e is df\nstr(e.local.dtype)"),
    case("multi-index", "df.loc[('a', 2), 'v'] = 9\ndf.loc['a'].v.tolist(), df.index.names", setup="import pandas as pd\ndf = pd.DataFrame({'k': list('aab'), 'n': [1, 2, 1], 'v': [1, 2, 3]}).set_index(['k', 'n'])\ne = df", checks="e.v.tolist()\ne is df"),
    case("nullable types and strings", "s.fillna(0).sum(), t.str.upper().tolist(), s.dtype.name", setup="import pandas as pd\ns = pd.Series([1, None, 3], dtype='Int64')\nt = pd.Series(['a', None])"),
    case("frame attributes", "df.attrs['unit'] = 'm'\ndf.index.name = 'i'\ndf.columns = ['x']", setup="import pandas as pd\ndf = pd.DataFrame({'a': [1]})\ne = df", checks="e.attrs\ne.index.name\nlist(e.columns)"),
    # Errors.
    case("error with context", "try:\n    1 / 0\nexcept ZeroDivisionError:\n    int('x')"),
    case("error from None", "try:\n    {}['a']\nexcept KeyError:\n    raise LookupError('none') from None"),
    case("error with cause and notes", "try:\n    [][1]\nexcept IndexError as e:\n    e.add_note('first')\n    new = RuntimeError('second')\n    new.add_note('own')\n    raise new from e"),
    case("error group handled", "try:\n    raise ExceptionGroup('g', [ValueError('v'), TypeError('t')])\nexcept* ValueError as group:\n    seen = [str(e) for e in group.exceptions]\nexcept* TypeError:\n    pass\nseen"),
    case("error in a function of an earlier cell", "ratio(1)", setup="def ratio(x):\n    y = x - 1\n    total = sum(\n        [1 / y]\n    )\n    return total"),
    case("error in a method", "a.f(3)", setup="class A:\n    def f(self, x):\n        return self.g(x)\n    def g(self, x):\n        raise NotImplementedError(f'g of {x}')\na = A()"),
    case("error in a local module", "import helpers_c\nhelpers_c.double(None)"),
    case("error in a lambda", "xs = [1, 0]\nlist(map(lambda x: 1 / x, xs))", checks="xs"),
    case("error in a decorator", "@bad\ndef f():\n    pass", setup="def bad(f):\n    raise TypeError('no function wanted')"),
    case("error in a comprehension", "rows = ['1', 'x']\n[int(r) for r in rows]"),
    case("error in a class body", "class K:\n    a = 1\n    b = a / 0", checks="'K' in globals()"),
    case("error with attributes", "e = Mine('text', code=5)\nraise e", setup="class Mine(Exception):\n    def __init__(self, text, *, code):\n        super().__init__(text)\n        self.code = code", checks="e.code"),
    case("attribute error", "x.missing", setup="x = [1]"),
    case("key error of a tuple", "{}[('a', 1)]"),
    case("type error of a call", "f(1, 2, z=3)", setup="def f(a, b):\n    return a"),
    case("import error", "from math import nothing_like_that"),
    case("module not found", "import no_such_module_anywhere"),
    case("stop iteration", "next(iter([]))"),
    case("unicode error", "'ä'.encode('ascii')"),
    case("assertion with a value", "assert [x for x in xs if x > 3], f'none of {xs}'", setup="xs = [1, 2]"),
    case("indentation error", "def f():\n    return 1\n  return 2"),
    case("unfinished text", "x = 'abc"),
    case("keyboard interrupt raised", "done = 1\nraise KeyboardInterrupt('by hand')", checks="done"),
    case("finally runs", "try:\n    log.append('try')\n    raise OSError(2, 'No such thing', 'f.txt')\nfinally:\n    log.append('finally')", setup="log = []", checks="log"),
    case("return in finally", "def f():\n    try:\n        return 1\n    finally:\n        out.append('f')\nf()", setup="out = []", checks="out"),
    case("warning as an error", "warnings.warn('too late', UserWarning)", setup="import warnings\nwarnings.simplefilter('error')"),
    case("warning ignored", "warnings.warn('unseen')\nnp_like = 1", setup="import warnings\nwarnings.filterwarnings('ignore', message='uns.*')"),
    case("warning filter set in the cell", "warnings.simplefilter('error', RuntimeWarning)", setup="import warnings", checks="warnings.filters[0][0], warnings.filters[0][2].__name__"),
    case("warning of an own category", "warnings.warn('mine', Mine)", setup="import warnings\nclass Mine(UserWarning):\n    pass"),
    case("warnings caught", "with warnings.catch_warnings(record=True) as seen:\n    warnings.simplefilter('always')\n    warnings.warn('kept')\ntexts = [str(w.message) for w in seen]\ndel seen\ntexts", setup="import warnings"),
    case("deprecation warning", "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=1)\nf()", setup="import warnings\ndef f():\n    warnings.warn('older', FutureWarning, stacklevel=2)"),
    # Output.
    case("ansi and carriage returns", "import sys\nprint('\\x1b[1;31mred\\x1b[0m', end='\\r')\nfor i in range(3):\n    sys.stdout.write(f'\\r{i}/3')\nprint()"),
    case("bar of tqdm", "from tqdm import tqdm\nimport io\nout = io.StringIO()\nfor i in tqdm(range(3), file=out, bar_format='{l_bar}{bar}'):\n    pass\nout.getvalue().split('\\r')[-1]", checks="len(out.getvalue()) > 10"),
    case("outputs in order", "import sys\nfor i in range(3):\n    print(i)\n    display(i * 10)\n    print(-i, file=sys.stderr)"),
    case("redirected output", "with contextlib.redirect_stdout(buf):\n    print('inside')\nprint('outside')\nbuf.getvalue()", setup="import contextlib, io\nbuf = io.StringIO()", checks="buf.getvalue()"),
    case("pretty print", "pprint(data, width=20)\ndata", setup="from pprint import pprint\ndata = {'k' * 5: list(range(12)), 'n': {'a': None}}"),
    case("logging configured", "logging.info('told')\nlogging.getLogger('mine').debug('and %s', x)", setup="import logging, sys\nlogging.basicConfig(level=logging.DEBUG, format='%(levelname)s|%(name)s|%(message)s', stream=sys.stderr, force=True)\nx = 1", checks="logging.root.level"),
    case("logging configured in the cell", "logging.basicConfig(level=logging.INFO, format='%(message)s', force=True)\nlogging.info('seen')", setup="import logging", checks="logging.root.level\nlen(logging.root.handlers)"),
    case("logger with a handler of its own", "log.info('one')\nlog.debug('two')", setup="import logging, sys\nlog = logging.getLogger('own')\nlog.setLevel('INFO')\nlog.propagate = False\nlog.handlers = [logging.StreamHandler(sys.stdout)]", checks="log.level"),
    case("logging disabled", "logging.error('unseen')\nlogging.getLogger('x').critical('seen')", setup="import logging\nlogging.disable(logging.ERROR)", checks="logging.root.manager.disable"),
    case("exception logged", "try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.getLogger('t').warning('went wrong: %s', 'here')", setup="import logging"),
    case("display many", "display(1, 'two', [3])\ndisplay({'image/svg+xml': '<svg/>', 'text/plain': 'svg'}, raw=True)"),
    case("markdown latex and code", "display(Markdown('*a*'), Latex('$x$'), Math('y'), Code('print(1)'), JSON({'a': [1]}), Javascript('1'))", setup="from IPython.display import Code, JSON, Javascript, Latex, Markdown, Math"),
    case("display id updated", "h = display('zero', display_id='bar')\nfor i in range(2):\n    h.update(i)\nupdate_display('end', display_id='bar')", setup="from IPython.display import update_display"),
    case("clear output in a loop", "for i in range(2):\n    clear_output(wait=True)\n    print('turn', i)\nclear_output()", setup="from IPython.display import clear_output"),
    case("mime bundle of a class", "c", setup="class C:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n        return {'text/plain': 'plain', 'application/x-own': {'n': 1}}, {'application/x-own': {'m': 2}}\nc = C()"),
    case("png of a class", "c", setup="class C:\n    def _repr_png_(self):\n        return b'\\x89PNG\\r\\n\\x1a\\n'\n    def __repr__(self):\n        return 'c'\nc = C()"),
    case("pretty of a class", "[c, c]", setup="class C:\n    def _repr_pretty_(self, p, cycle):\n        p.text('<C>')\nc = C()"),
    case("figure with rcParams", "fig, ax = plt.subplots()\nsize = fig.get_size_inches().tolist()\nplt.close(fig)\nsize, plt.rcParams['lines.linewidth']", setup="import matplotlib.pyplot as plt\nplt.rcParams['figure.figsize'] = (2, 1)\nplt.rcParams['lines.linewidth'] = 5", checks="plt.rcParams['lines.linewidth']"),
    case("rcParams set in the cell", "plt.rcParams['axes.grid'] = True\nplt.style.use({'font.size': 7})", setup="import matplotlib.pyplot as plt", checks="plt.rcParams['axes.grid'], plt.rcParams['font.size']"),
    case("figures several", "for i in range(2):\n    plt.figure(figsize=(1, 1))\n    plt.plot([1, i])\nprint('both')", setup="import matplotlib.pyplot as plt", checks="plt.get_fignums()"),
    case("figure shown between", "fig, ax = plt.subplots(figsize=(1, 1))\nax.plot([1, 2])\nplt.show()\nprint('after')", setup="import matplotlib.pyplot as plt"),
    case("figure as jpeg", "plt.figure(figsize=(1, 1))\nplt.plot([1])\nNone", setup="import matplotlib.pyplot as plt\n---\n%config InlineBackend.figure_format = 'jpeg'"),
    case("precision magic", "[1 / 3, 2 / 3]", setup="%precision 3"),
    case("pretty printing off", "{'a': list(range(30))}", setup="%pprint"),
    # Magics and shell.
    case("time a statement", "%time x = sum(range(10))\nx"),
    case("time a cell", "%%time\ny = [i for i in range(3)]\ny", checks="y"),
    case("capture and show", "%%capture out\nprint('kept')\ndisplay(5)", checks="out.stdout\nlen(out.outputs)"),
    case("write a file", "%%writefile /tmp/gridnb-corpus-note.txt\nline one\n", setup="import pathlib\npathlib.Path('/tmp/gridnb-corpus-note.txt').unlink(missing_ok=True)", checks="pathlib.Path('/tmp/gridnb-corpus-note.txt').read_text()\npathlib.Path('/tmp/gridnb-corpus-note.txt').unlink()"),
    case("bash", "%%bash\necho one\necho two >&2"),
    case("shell status", "!exit 3\n_exit_code"),
    case("shell output list", "files = !printf 'a\\nb\\n'\nfiles[1], len(files)", checks="list(files)"),
    case("working directory", "import os\nos.path.basename(os.getcwd())"),
    case("subprocess", "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout"),
    case("threads in the cell", "import threading\nout = []\nts = [threading.Thread(target=out.append, args=(i,)) for i in range(3)]\nfor t in ts:\n    t.start()\nfor t in ts:\n    t.join()\ndel t, ts\nsorted(out)"),
    case("thread pool", "with ThreadPoolExecutor(2) as pool:\n    r = list(pool.map(f, range(4)))\ndel pool\nr", setup="from concurrent.futures import ThreadPoolExecutor\ndef f(x):\n    return x * x"),
    case("simple namespace", "n.x += 1\nn.y = [n.x]\nn", setup="from types import SimpleNamespace\nn = SimpleNamespace(x=1)\nm = n", checks="m is n\nm.y"),
    case("eval with what it needs", "eval('a + b', {'a': a, 'b': b}), compile('a * 2', '<s>', 'eval').co_names", setup="a, b = 1, 2"),
    case("exec in a dict", "space = {}\nexec('def f(x):\\n    return x + 1', space)\nr = space['f'](2)\ndel space\nr"),
    case("inspect source of an earlier cell", "inspect.getsource(f), inspect.signature(f)", setup="import inspect\ndef f(a, b=2):\n    return a * b"),
]  # fmt: skip

NOTHING = r"^(None|\[\]|)$"

KNOWN = [
    Known(case("name in a string", "eval('secret') + 1", setup="secret = 1"), "Names in strings",
          {"value": ("^2$", "^None$"), "error": ("^None$", "NameError.*'secret' is not defined"), "shown": ("'2'", NOTHING), "trace": (NOTHING, "NameError")}),
    Known(case("name by globals", "del globals()['x']", setup="x = 1"), "Names in strings",
          {"error": ("^None$", "KeyError"), "names": ("^{}$", "'x': '1'"), "trace": (NOTHING, "KeyError")}),
    Known(case("underscore", "_ + 1", setup="1 + 1"), "IPython's own names",
          {"value": ("^3$", "^None$"), "error": ("^None$", "NameError.*'_'"), "shown": ("'3'", NOTHING), "trace": (NOTHING, "NameError")}),
    Known(case("hash of a text", "x = hash('text') == here", setup="here = hash('text')"), "Hashes of texts",
          {"names": ("'x': 'True'", "'x': 'False'")}),
    Known(case("identity number", "x = id(here) == number", setup="here = []\nnumber = id(here)"), "Numbers of a process",
          {"names": ("'x': 'True'", "'x': 'False'")}),
    Known(case("process number", "import os\nx = os.getpid() == here", setup="import os\nhere = os.getpid()"), "Numbers of a process",
          {"names": ("'x': 'True'", "'x': 'False'")}),
    Known(case("environment variable", "import os\nx = os.environ.get('GRIDNB_CORPUS')", setup="import os\nos.environ['GRIDNB_CORPUS'] = 'kept'"), "Environment variables",
          {"names": ("'x': \"'kept'\"", "'x': 'None'")}),
    Known(case("environment variable set in the cell", "os.environ['GRIDNB_CORPUS_2'] = 'kept'", setup="import os\nos.environ.pop('GRIDNB_CORPUS_2', None)", checks="os.environ.pop('GRIDNB_CORPUS_2', None)"), "Environment variables",
          {"checks": ("'kept'", "'None'")}),
    Known(case("library patched", "math.corpus_constant = 5", setup="import math", checks="math.__dict__.pop('corpus_constant', None)"), "Changes inside of modules",
          {"checks": ("'5'", "'None'")}),
    Known(case("local module changed", "helpers_c.K = 8", setup="import helpers_c\nhelpers_c.K = 7", checks="helpers_c.K"), "Changes inside of modules",
          {"checks": ("'8'", "'7'")}),
    Known(case("local module changed before", "x = helpers_c.K", setup="import helpers_c\nhelpers_c.K = 9", checks="helpers_c.__dict__.__setitem__('K', 7)"), "Changes inside of modules",
          {"names": ("'x': '9'", "'x': '[78]'")}),
    Known(case("generator kept", "g = (i for i in range(3))\nnext(g)"), "Generators, locks, open files",
          {"names": ("generator object", "<Remote generator at alpha")}),
    Known(case("lock captured", "with lock:\n    pass", setup="import threading\nlock = threading.Lock()"), "Generators, locks, open files",
          {"error": ("^None$", "CaptureError.*variable 'lock'")}),
    Known(case("open file captured", "f.readline()", setup="f = open('helpers_c.py')", checks="f.close()"), "Generators, locks, open files",
          {"value": ("n", "None"), "error": ("^None$", "CaptureError.*variable 'f'"), "shown": ("n", NOTHING)}),
    Known(case("formatter of the notebook", "C()", setup="class C:\n    def __repr__(self):\n        return 'usual'\nget_ipython().display_formatter.formatters['text/html'].for_type(C, lambda c: '<b>own</b>')\nNone"), "Formatters that the notebook has registered",
          {"shown": ("<b>own</b>", "'usual'")}),
    Known(case("setting magic", "%precision 2", setup="x = 1"), "Magics that set up IPython",
          {"error": ("^None$", "UsageError.*put it into a plain cell"), "value": ("%.2f", "None"), "shown": ("%.2f", NOTHING), "trace": (NOTHING, "UsageError")}),
    Known(case("notebook magic", "%who", setup="x = 1"), "Magics that work on the notebook",
          {"error": ("^None$", "UsageError.*put it into a plain cell"), "stdout": ("x", "^$"), "trace": (NOTHING, "UsageError")}),
    Known(case("unknown magic", "%nosuchmagic"), "Errors that IPython prints by itself",
          {"stderr": ("UsageError", "^$"), "trace": (NOTHING, "UsageError")}),
    Known(case("exception group", "raise ExceptionGroup('g', [ValueError('a'), KeyError('b')])"), "Errors that IPython prints by itself",
          {"stderr": ("ValueError: a", "^$")}),
    Known(case("error group nested", "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ExceptionGroup('outer', [ExceptionGroup('inner', [TypeError('b')])])"), "Errors that IPython prints by itself",
          {"stderr": ("TypeError: b", "^$"), "trace": (NOTHING, "ZeroDivisionError")}),
    Known(case("system exit", "done = 1\nraise SystemExit('bye')", checks="done"), "`exit` and `SystemExit`",
          {"stderr": ("To exit", "^$")}),
    Known(case("question", "x = input('?')"), "`input`, `getpass` and `breakpoint`",
          {"error": ("EOFError|StdinNotImplemented|OSError", "CellError.*pass the value in a variable"), "trace": (".", "CellError"), "stdout": (r"\??", "^$")}),
]  # fmt: skip
