"""The grammar of random expressions: for each type, templates with holes in braces that name types.

`{int}` is any integer expression, `{small}` an int from -3 to 9 that may be a repetition or an exponent. A template is
plain text, so what Python may do with a value of a type is one line here. Values stay small: whatever multiplies
sizes (`**`, `<<`, `*` of sequences) has a `{small}` on its right.

Only numbers are hashed, and through `int`, as a hole may hold a value of another type: CPython hashes None and nan by
their addresses, and text by a seed and a function of its own, so that no two runs or interpreters need agree.
"""

TERMINALS = {
    "int": ["0", "1", "-1", "2", "3", "7", "10", "-5", "100", "255", "256", "-17", "12345", "2147483648", "-2147483649",
            "9223372036854775807", "-9223372036854775808", "18446744073709551616", "1000000007", "10**20", "-3**25", "0xFF",
            "0b1011", "0o17", "1_000", "True", "False"],
    "small": ["0", "1", "2", "3", "4", "5", "-1", "-2", "7"],
    "float": ["0.0", "-0.0", "1.0", "0.5", "2.5", "-1.5", "3.14159", "1e10", "1e-7", "1e16", "1e22", "123456.789", "0.1",
              "1/3", "float('inf')", "float('-inf')", "float('nan')", "1e300", "5e-324", "-2.75", "1e15", "99999.5"],
    "bool": ["True", "False"],
    "str": ["''", "'a'", "'abc'", "'hello world'", "'Hello'", "'ABC def'", "'12'", "'-7'", "'3.5'", "' pad '", "'a,b,c'",
            "'x=1;y=2'", "'ß'", "'é'", "'日本'", "'tab\\there'", "'line\\nline2\\n'", "'\\x00\\x7f'", "'aaaa'", "'abcabc'", "'%d'",
            "'{}'", "\"it's\"", "'\"q\"'", "'𝄞x'", "'ŉ'", "'ÀÉ'", "'_id1'", "'0x1f'", "'one two  three'", "'\\u00a0'", "'Title Case'"],
    "bytes": ["b''", "b'a'", "b'abc'", "b'hello world'", "b'\\x00\\xff'", "b'a,b,c'", "b'  pad '", "b'ABC'", "b'12'", "b'abcabc'", "bytes(3)",
              "bytes([65, 66, 200])", "b'line\\nb\\r\\n'"],
    "ints": ["[]", "[1]", "[1, 2, 3]", "[3, 1, 2]", "[5, 5, 5]", "list(range(5))", "[-1, 0, 1]", "[10, 9, 8, 7]", "[2, 2**40, -2]"],
    "strs": ["[]", "['a']", "['b', 'a', 'c']", "['x', 'yy', 'zzz']", "list('hello')", "'to be or not'.split()", "['B', 'a', 'C']"],
    "list": ["[]", "[1, 'a', None]", "[[1], [2, 3]]", "[1.5, 2, True]", "[(1, 2), (0, 5)]", "[None]", "['x', 2, 3.0]"],
    "tuple": ["()", "(1,)", "(1, 2)", "(1, 'a')", "(3, 2, 1)", "((1, 2), 3)", "(None, True)", "(1.0, 2)"],
    "dict": ["{}", "{'a': 1}", "{'a': 1, 'b': 2}", "dict(x=1, y=2, z=3)", "{'k': -1, '': 0}"],
    "idict": ["{}", "{1: 'a'}", "{1: 'a', 2: 'b', 0: 'z'}", "{-1: 'n', 10: 't'}"],
    "set": ["set()", "{1}", "{1, 2, 3}", "{5, 1, 9}", "{0, -1, 7, 100}", "frozenset({2, 3})", "frozenset()"],
    "complex": ["1j", "0j", "(1+2j)", "(3-4j)", "-1.5j", "complex(2, -0.0)", "complex('1+2j')"],
    "none": ["None"],
    "range": ["range(0)", "range(5)", "range(2, 8)", "range(10, 0, -3)", "range(-3, 4, 2)"],
    "slice": ["slice(None)", "slice(1, 3)", "slice(None, None, -1)", "slice(-2, None)", "slice(0, 10, 2)"],
    "spec": ["''", "'d'", "'5'", "'<8'", "'>8'", "'^9'", "'*^9'", "'+d'", "'x'", "'#x'", "'08b'", "'#o'", "',d'", "'_x'", "'.2f'", "'10.3e'",
             "'+.1g'", "'%'", "'.0%'", "'s'", "'.2s'", "'c'", "'n'", "'=+6'", "'06.1f'", "',.2f'", "'G'", "'X'", "' d'", "'-<5'", "'E'", "'z.1f'", "'.3'",
             "'#.3g'", "'_.2f'", "'0=10'", "'é>6'", "'08,.1f'", "'+010.2f'"],
}

TEMPLATES = {
    "int": [
        "{int} + {int}", "{int} - {int}", "{int} * {int}", "{int} // {int}", "{int} % {int}", "{int} & {int}", "{int} | {int}",
        "{int} ^ {int}", "{int} << {small}", "{int} >> {small}", "{int} ** {small}", "-{int}", "+{int}", "~{int}", "abs({int})",
        "len({str})", "len({list})", "len({dict})", "len({set})", "len({bytes})", "len({range})", "int({float})", "int({str})", "int({str}, 16)",
        "int({bool})", "{int} if {bool} else {int}", "{str}.find({str})", "{str}.rfind({str})", "{str}.index({str})", "{str}.count({str})",
        "{ints}.index({int})", "{ints}.count({int})", "{list}.count({any})", "{tuple}.count({any})", "{tuple}.index({any})", "sum({ints})",
        "sum({range})", "min({ints})", "max({ints})", "min({int}, {int})", "max({int}, {int}, {int})", "max({ints}, default={int})",
        "round({float})", "round({int}, -{small})", "divmod({int}, {int})[{small}]", "pow({int}, {small}, {int})", "{int}.bit_length()",
        "{int}.bit_count()", "ord({str})", "{ints}[{small}]", "{dict}[{str}]", "{dict}.get({str}, {int})", "{range}[{small}]", "{bytes}[{small}]",
        "hash(int({int}))", "int.from_bytes({bytes}, 'big')", "int.from_bytes({bytes}, 'little', signed={bool})", "math.gcd({int}, {int})",
        "math.floor({float})", "math.ceil({float})", "math.trunc({float})", "math.isqrt({int})", "math.factorial({small})", "math.comb({small}, {small})", "math.lcm({int}, {int})",
        "{bytes}.find({bytes})", "{bytes}.count({bytes})", "next(iter({ints}), {int})", "({int}, {int})[{bool}]", "functools.reduce(operator.add, {ints}, {int})",
        "{int}.numerator", "{float}.__trunc__()", "operator.index({int})", "{set}.pop()", "sum(1 for c in {str} if c in {str})", "{str} and {int}", "{int} or {int}",
        "bool({any}) + {int}", "hash(int({int}) / 2)", "{int}.__add__({int})", "{int}.__rsub__({int})", "int({complex}.real)", "math.perm({small}, {small})", "{ints}.pop({small})",
    ],
    "small": ["len({str}) % 5", "{int} % 4", "abs({int}) % 6", "{int} % 7 - 3"],
    "float": [
        "{float} + {float}", "{float} - {float}", "{float} * {float}", "{float} / {float}", "{float} // {float}", "{float} % {float}",
        "{int} / {int}", "{float} ** {small}", "-{float}", "abs({float})", "float({int})", "float({str})", "round({float}, {small})", "{float} * {int}",
        "{int} % {float}", "{complex}.real", "{complex}.imag", "abs({complex})", "math.sqrt({float})", "math.sin({small})", "math.log({int})", "math.exp({small})", "math.fsum({ints})",
        "math.hypot({float}, {float})", "math.copysign({float}, {float})", "math.fmod({float}, {float})", "math.ldexp({float}, {small})", "sum([{float}, {float}])",
        "max({float}, {int})", "min({float}, {float})", "{float} if {bool} else {float}", "math.modf({float})[0]", "math.frexp({float})[0]", "math.dist({ints}, {ints})",
        "float.fromhex({float}.hex())", "{float}.conjugate()", "{float}.__mul__({float})", "math.log2({int})", "math.log10({float})", "math.degrees({float})", "math.prod([{float}, {int}])",
        "{int} ** -{small}", "math.pow({float}, {small})", "math.remainder({float}, {float})", "math.nextafter({float}, {float})", "math.ulp({float})",
    ],
    "bool": [
        "{int} < {int}", "{int} <= {int} < {int}", "{float} == {float}", "{int} == {float}", "{str} == {str}", "{str} < {str}", "{str} in {str}",
        "{int} in {ints}", "{str} in {dict}", "{int} in {set}", "{int} in {range}", "{any} in {list}", "{any} in {tuple}", "not {any}", "{bool} and {bool}",
        "{bool} or {bool}", "{any} is None", "{any} is not None", "{any} == {any}", "{any} != {any}", "{list} == {list}", "{list} < {list}", "{tuple} < {tuple}", "{tuple} >= {tuple}",
        "{ints} <= {ints}", "{set} <= {set}", "{set} < {set}", "{set} == {set}", "{set}.isdisjoint({ints})", "{set}.issubset({ints})", "{set}.issuperset({range})",
        "any({list})", "all({list})", "any(v > {int} for v in {ints})", "isinstance({any}, int)", "isinstance({any}, (str, float))", "{str}.startswith({str})",
        "{str}.endswith(({str}, {str}))", "{str}.startswith({str}, {small})", "{str}.isdigit()", "{str}.isalpha()", "{str}.isalnum()", "{str}.isspace()", "{str}.islower()",
        "{str}.isupper()", "{str}.istitle()", "{str}.isidentifier()", "{str}.isdecimal()", "{str}.isnumeric()", "{str}.isprintable()", "{str}.isascii()", "{float}.is_integer()",
        "math.isclose({float}, {float})", "math.isnan({float})", "math.isinf({float})", "callable({any})", "hasattr({any}, 'append')", "{bytes} == {bytes}", "{bytes} < {bytes}",
        "{bytes} in {bytes}", "{int} in {bytes}", "bool({any})", "{dict} == {dict}", "{complex} == {float}", "{bool} ^ {bool}", "{bool} & {bool}", "{int} > {float}",
        "{dict}.keys() == {dict}.keys()", "{dict}.keys() <= {dict}.keys()", "{str} in {dict}.values()", "({str}, {int}) in {dict}.items()", "{range} == {range}", "{ints}.__contains__({int})",
        "issubclass(bool, type({any}))", "{str} not in {strs}", "{bytes}.startswith({bytes})", "{bytes}.isdigit()", "{bytes}.isalpha()", "operator.lt({any}, {any})", "{any} < {any}",
    ],
    "str": [
        "{str} + {str}", "{str} * {small}", "{str}[{small}]", "{str}[{small}:]", "{str}[:{small}]", "{str}[{small}:{small}]", "{str}[::{small}]", "{str}[::-1]",
        "{str}.upper()", "{str}.lower()", "{str}.title()", "{str}.capitalize()", "{str}.swapcase()", "{str}.casefold()", "{str}.strip()", "{str}.lstrip({str})", "{str}.rstrip({str})",
        "{str}.replace({str}, {str})", "{str}.replace({str}, {str}, {small})", "{str}.center({int} % 20)", "{str}.center(12, '*')", "{str}.ljust(9, '.')", "{str}.rjust(9)",
        "{str}.zfill({small})", "{str}.zfill(8)", "{str}.join({strs})", "{str}.join({str})", "{str}.join({list})", "{str}.expandtabs({small})", "{str}.removeprefix({str})", "{str}.removesuffix({str})", "str({any})",
        "repr({any})", "ascii({any})", "chr({int} % 0x3000)", "hex({int})", "bin({int})", "oct({int})", "format({int}, {spec})", "format({float}, {spec})", "format({str}, {spec})",
        "'%d' % {int}", "'%5d|%-5d|%05d' % ({int}, {int}, {int})", "'%s and %r' % ({any}, {any})", "'%.2f' % {float}", "'%8.3f|%-8.1f|%+g' % ({float}, {float}, {float})", "'%x %o %X %#x' % ({int}, {int}, {int}, {int})",
        "'%e' % {float}", "'%(a)s %(b)05d' % {'a': {any}, 'b': {int}}", "'%c' % {str}", "'%c' % ({int} % 256)", "'%s' % {any}", "'%%%s' % ({str},)", "'%.3s|%10s|%-6s|' % ({str}, {str}, {str})", "'%*d' % ({small}, {int})", "'%i %u' % ({float}, {int})",
        "'{} {}'.format({any}, {any})", "'{0}{1}{0}'.format({str}, {int})", "'{a}-{b!r}'.format(a={any}, b={any})", "'{:>8}|{:<8}|{:^8}'.format({str}, {int}, {float})", "'{0[0]}{1[a]}'.format({str}, {dict})", "'{:{}}'.format({int}, {small})", "'{!s:>6}'.format({any})",
        "'{:,} {:.3e} {:%}'.format({int}, {float}, {float})", "'{0.real} {0.imag}'.format({complex})", "min({strs})", "max({strs}, key=len)", "{strs}[{small}]", "{idict}[{int}]", "{idict}.get({int}, {str})",
        "{str} if {bool} else {str}", "{str} or {str}", "{str}.partition({str})[{small}]", "{str}.rpartition({str})[0]", "{bytes}.decode('latin-1')", "{bytes}.decode()", "{bytes}.hex()", "{bytes}.decode('utf-8', 'replace')", "{float}.hex()",
        "''.join(sorted({str}))", "''.join(reversed({str}))", "''.join(c for c in {str} if c.isalpha())", "''.join(map(str, {ints}))", "{str}.translate(str.maketrans('abc', 'xyz'))", "{str}.translate({ord('a'): None, ord('b'): 'BB'})", "type({any}).__name__", "{str}.encode().decode()",
        "f'{{any}!r}'", "next(iter({strs}), {str})", "{str}.__add__({str})", "repr({any})[:{small}]", "{str}.format({any})", "{str} % {int}", "{str} % {tuple}", "operator.add({str}, {str})", "string.capwords({str})", "textof({any})",
        "__import__('string').ascii_lowercase[{small}:]", "{int}.__repr__()", "{any}.__class__.__name__", "json.dumps({dict})", "json.dumps({list})", "json.dumps({str})", "json.dumps({float})", "json.dumps({idict}, indent={small}, sort_keys=True)",
    ],
    "bytes": [
        "{bytes} + {bytes}", "{bytes} * {small}", "{bytes}[{small}:]", "{bytes}[::-1]", "{bytes}[{small}:{small}]", "{str}.encode()", "{str}.encode('latin-1')", "{str}.encode('ascii', 'replace')", "{str}.encode('utf-16-le')", "bytes({ints})",
        "{bytes}.upper()", "{bytes}.lower()", "{bytes}.replace({bytes}, {bytes})", "{bytes}.strip()", "{bytes}.join([{bytes}, {bytes}])", "{bytes}.center(9, b'*')", "{bytes}.zfill(6)", "{bytes}.title()", "{bytes}.capitalize()", "{bytes}.swapcase()", "{bytes}.ljust(6)",
        "({int} % 65536).to_bytes(2, 'big')", "{int}.to_bytes(9, 'little', signed=True)", "bytes.fromhex({bytes}.hex())", "{bytes}.removeprefix({bytes})", "{bytes}.lstrip({bytes})", "{bytes}.split(b',')[{small}]", "{bytes}.translate(None, b'a')", "b'%d %s' % ({int}, {bytes})", "{bytes}.expandtabs({small})", "bytes({small})", "bytes({range})",
    ],
    "ints": [
        "{ints} + {ints}", "{ints} * {small}", "{ints}[{small}:]", "{ints}[::-1]", "{ints}[::{small}]", "{ints}[{small}:{small}]", "sorted({ints})", "sorted({ints}, reverse=True)", "sorted({ints}, key=lambda v: -v)", "sorted({ints}, key=lambda v: (v % 3, v))", "list({range})", "list({set})",
        "sorted({set})", "list({dict}.values())", "[v * 2 for v in {ints}]", "[v for v in {ints} if v % 2]", "[v + {int} for v in {ints} if v > {int}]", "[a * b for a in {ints} for b in {ints} if a < b]", "list(map(lambda v: v + 1, {ints}))", "list(filter(None, {ints}))", "list(map(len, {strs}))", "list(map(abs, {ints}))", "list(reversed({ints}))",
        "[{int}, {int}]", "[*{ints}, {int}]", "list({bytes})", "{ints}.copy()", "list({idict})", "list({ints})[{slice}]", "list(itertools.accumulate({ints}))", "list(itertools.chain({ints}, {range}))", "list(itertools.islice({ints}, {small}))", "list(itertools.takewhile(lambda v: v < {int}, {ints}))", "list(itertools.dropwhile(lambda v: v < {int}, {ints}))",
        "[len(s) for s in {strs}]", "list(itertools.compress({ints}, {list}))", "list(map(operator.add, {ints}, {ints}))", "[i for i, v in enumerate({list}) if v]", "[y := {int}, y]", "list(itertools.starmap(pow, [(2, {small}), (3, 2)]))", "list(itertools.filterfalse(lambda v: v % 2, {ints}))", "[*range({small})]", "[ord(c) for c in {str}]", "list({slice}.indices({small}))",
        "sorted({ints}, key=str)", "heapq.nsmallest({small}, {ints})", "list(range({small}, {small}, {small}))", "[v for row in [{ints}, {ints}] for v in row]",
    ],
    "strs": [
        "{str}.split()", "{str}.split({str})", "{str}.split(',')", "{str}.split(' ', {small})", "{str}.rsplit(' ', 1)", "{str}.splitlines()", "{str}.splitlines(True)", "{strs} + {strs}", "sorted({strs})", "sorted({strs}, key=str.lower)", "sorted({strs}, key=len, reverse=True)", "list({str})", "list({dict})", "[s.upper() for s in {strs}]", "[s for s in {strs} if len(s) > 1]",
        "list(map(str, {ints}))", "list({idict}.values())", "[c * 2 for c in {str}]", "{strs}[{small}:]", "list({str}.partition({str}))", "[f'{v:03d}' for v in {ints}]", "[f'{v!r:>5}' for v in {list}]", "list(map(''.join, itertools.product('ab', repeat={small} % 4)))", "list(dict.fromkeys({str}))", "[k for k, g in itertools.groupby({str})]", "[a + b for a, b in zip({str}, {str})]", "re.findall(r'[a-z]+', {str})", "re.split(r'[, ]', {str})",
    ],
    "list": [
        "{list} + {list}", "{list} * {small}", "{list}[{small}:]", "{list}[::-1]", "[{any}, {any}]", "[{any}]", "list({tuple})", "list({dict}.items())", "list(zip({ints}, {strs}))", "list(enumerate({strs}, {int}))", "list(zip({str}, {range}, {list}))", "[(a, b) for a in {ints} for b in {str}]", "sorted({dict}.items(), key=lambda p: p[1])", "[*{tuple}, *{str}]", "list(itertools.product({str}, {ints}))",
        "list(itertools.permutations({ints}, 2))", "list(itertools.combinations({str}, 2))", "list(itertools.zip_longest({ints}, {str}, fillvalue={any}))", "list(itertools.pairwise({ints}))", "[[a, b] for a, b in zip({list}, {tuple})]", "[x if x else {any} for x in {list}]", "[[0] * {small} for _ in range({small})]", "list(map(lambda *a: a, {ints}, {str}))", "copy.deepcopy({list})", "sorted({list}, key=repr)", "list(collections.Counter({str}).most_common())", "list(divmod({int}, {int}))", "json.loads(json.dumps({list}))",
        "[type(v).__name__ for v in {list}]", "list({idict}.items())", "list(reversed({list}))", "sorted({list})", "list(zip(*{list}))", "[v for v in {list} if not isinstance(v, str)]",
    ],
    "tuple": [
        "{tuple} + {tuple}", "{tuple} * {small}", "{tuple}[{small}:]", "tuple({list})", "tuple({str})", "({any}, {any})", "({any},)", "divmod({int}, {int})", "divmod({float}, {float})", "tuple(sorted({ints}))", "tuple(v + 1 for v in {ints})", "{str}.partition({str})", "(*{ints}, {any})", "{float}.as_integer_ratio()", "math.frexp({float})", "max({dict}.items())", "tuple({dict})", "tuple(reversed({tuple}))", "{tuple}[::{small}]",
        "({int}, *{tuple}, {str})", "tuple(zip({str}, {str}))", "math.modf({float})",
    ],
    "dict": [
        "{**{dict}, {str}: {int}}", "{k: v for k, v in {dict}.items() if v > {int}}", "{k: len(k) for k in {strs}}", "dict(zip({strs}, {ints}))", "dict({dict}, a={int})", "{dict} | {dict}", "dict.fromkeys({strs}, {int})", "{dict}.copy()", "{c: {str}.count(c) for c in {str}}", "dict(sorted({dict}.items()))", "dict(collections.Counter({str}))", "dict([({str}, {int})])", "{k.upper(): v for k, v in {dict}.items()}", "json.loads(json.dumps({dict}))",
    ],
    "idict": ["{v: k for k, v in {dict}.items()}", "dict(enumerate({strs}))", "{i: chr(97 + i) for i in range({small})}", "{**{idict}, {int}: {str}}", "dict(zip({ints}, {str}))", "{len(s): s for s in {strs}}", "{idict} | {idict}"],
    "set": [
        "{set} | {set}", "{set} & {set}", "{set} - {set}", "{set} ^ {set}", "set({ints})", "set({range})", "{set}.union({ints}, {range})", "{set}.difference({ints})", "{set}.intersection({ints})", "{set}.symmetric_difference({ints})", "{v % 5 for v in {ints}}", "{{int}, {int}}", "set({ints}) - {{int}}", "frozenset({ints})", "{len(s) for s in {strs}}", "{set}.copy()", "{*{ints}, {int}}", "set(map(len, {strs}))", "{set} | set({bytes})", "set({dict}.values())",
    ],
    "complex": ["{complex} + {complex}", "{complex} * {complex}", "{complex} - {float}", "{complex} / {complex}", "{complex} ** 2", "-{complex}", "{complex}.conjugate()", "complex({float}, {float})", "complex({int})", "{int} + {complex}", "{float} * 1j", "complex({str})", "sum([{complex}, {int}])"],
    "range": ["range({small})", "range({small}, {small})", "range({small}, {int} % 50, {small})", "{range}[::-1]", "{range}[{small}:]", "range(len({str}))", "range(*{slice}.indices(6))"],
    "slice": ["slice({small}, {small})", "slice({small})", "slice(None, {small}, {small})"],
    "none": ["{ints}.append({int})", "{list}.extend({tuple})", "{dict}.update(a={int})", "print({any})", "{list}.reverse()", "{ints}.sort()", "{dict}.get({any})", "{set}.add({int})", "print({any}, {any}, sep={str}, end='|\\n')", "{list}.insert({small}, {any})", "{ints}.remove({int})", "{set}.discard({int})", "{dict}.clear()", "{set}.update({ints})", "print(*{list}, sep='-')"],
    "spec": [],
}

ANY = ["int", "int", "float", "str", "str", "bool", "bytes", "ints", "strs", "list", "tuple", "dict", "idict", "set", "complex", "none", "range", "slice"]
VARIABLE_TYPES = ["int", "int", "float", "str", "str", "bool", "bytes", "ints", "ints", "strs", "list", "tuple", "dict", "idict", "set", "complex", "range"]
