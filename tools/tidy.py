#!/usr/bin/env python3
"""The rules of the house that a compiler does not know. Every finding is one line: file:line: rule: what to do instead.

Usage: tidy.py [--root DIR]     DIR is another tree to look at (the tests use it); the default is this repository.
Exit status: 0 clean, 1 findings, 2 bad usage.
"""

import pathlib
import re
import subprocess
import sys

ROOMS = ('runtime', 'backends', 'net', 'subprocess')
LIBRARY = r'(runtime|backends|net|subprocess)/'
CANARY = 'tests/packaging/tidy_canary/'

# Files that may be longer than the rest, each with its reason.
LONG_FILES = {
    'runtime/include/weir/event_loop.hpp': 460,  # the user's one door: every method with its documentation
}
HEADER_LINES, SOURCE_LINES, FUNCTION_LINES, COLUMNS = 300, 600, 70, 110

# The only files outside backends/ that may include a header of the operating system.
PLATFORM_FILES = re.compile(
    r'^(backends/(?!include/)|runtime/(fork_posix|signals_(posix|windows)|thread_pool)\.cpp|tests/|net/(address|socket)\w*\.cpp|subprocess/(child_process|command_line|own_process|programs|terminal)_\w+\.cpp)')
PLATFORM_HEADER = (r'#\s*include\s*<(sys/[\w/]+|linux/[\w/]+|netinet/[\w/]+|arpa/\w+|net/if|netdb|unistd|poll|fcntl|signal|pthread|'
                   r'windows|winsock2|ws2tcpip|mswsock|io|process)\.h>')
THIRD_PARTY_HEADER = r'#\s*include\s*<(openssl/|ares|event2/|liburing)'

# Polymorphism is for what a user implements: one call per event that a user sees, none below.
VIRTUAL_FILES = re.compile(
    r'^(tests/|tools/|.*/(\w*transport\w*|\w*protocol\w*|\w*executor\w*|\w*policy\w*|\w*task_factory\w*|exceptions|context|task_base|'
    r'future_base|ref|any_coro|errors?)\.(hpp|cpp)$)')


class Rule:
    """A regular expression that must not match a line of code (comments and literals are blanked) in the files it looks at."""

    def __init__(self, name, pattern, advice, within=r'', unless=None, raw=False):
        self.name, self.pattern, self.advice = name, re.compile(pattern), advice
        self.within, self.unless, self.raw = re.compile(within), unless and re.compile(unless), raw

    def looks_at(self, path):
        return self.within.match(path) and not (self.unless and self.unless.search(path))


RULES = [
    Rule('clock', r'\b(steady_clock|system_clock|high_resolution_clock)::now\b|\bclock_gettime\s*\(',
         'ask the loop: time(); only a backend reads a clock', unless=r'^backends/|^tests/|^tools/|^bench/|^runtime/concurrent_future\.cpp'),  # threads wait in real time
    Rule('sleep', r'\b(sleep_for|sleep_until)\b|\b(usleep|nanosleep)\s*\(',
         'wait for the event itself: drain(loop), a future, a latch, virtual time',
         unless=r'^tests/runtime/loop_io_test\.cpp'),  # measures what idling costs, so something must last
    Rule('chance', r'\brandom_device\b|\bs?rand\s*\(', 'take a seed as an argument'),
    Rule('dup', r'(?<![\w.>])(::)?dup[23]?\s*\(|\bF_DUPFD', 'one registration per descriptor: share the owner, never the number',
         # Reads the process's stderr; a child's standard descriptors; File::duplicate; what dup2() does to a knote.
         unless=r'^(tests/runtime/report_helpers\.hpp|subprocess/child_process_linux\.cpp|backends/posix/files\.cpp|tests/support/kqueue/|tests/backends/kqueue_double_test\.cpp)'),
    Rule('virtual', r'\bvirtual\b', 'a concept or a template; virtual is for what users implement (VIRTUAL_FILES in tools/tidy.py)',
         unless=VIRTUAL_FILES.pattern),
    Rule('platform-header', PLATFORM_HEADER, 'keep it in backends/ or one of PLATFORM_FILES in tools/tidy.py',
         within=LIBRARY, unless=PLATFORM_FILES.pattern),
    Rule('platform-header', PLATFORM_HEADER, 'a public header includes no platform header: plain ints and bytes, sized in the source',
         within=LIBRARY + 'include/'),
    Rule('third-party-header', THIRD_PARTY_HEADER, 'keep it in a source file', within=LIBRARY + r'(.*/)?[^/]*\.hpp$',
         unless=r'^net/tls/openssl\.hpp$'),  # the owners of OpenSSL's objects, for net/tls alone
    Rule('third-party-header', r'"net/tls/(openssl|context|engine|transport|output)\.hpp"', 'net/tls/tls.hpp is what others may ask of TLS',
         within=LIBRARY, unless=r'^net/tls/'),
    Rule('format', r'#\s*include\s*<format>', 'libstdc++ 12 has no <format>: append to a std::string'),
    Rule('iostream', r'#\s*include\s*<(iostream|regex)>', 'the log sink, or a hand-written parser: users pay for it in every file',
         within=LIBRARY),
    Rule('using-namespace', r'\busing\s+namespace\s+std\s*;', 'name what you use'),
    Rule('using-namespace', r'\busing\s+namespace\s+(?!std::(chrono_literals|string_literals|string_view_literals|literals)\b)',
         'name what you use', unless=r'^tests/'),
    Rule('umbrella', r'#\s*include\s*<weir/weir\.hpp>', 'include the parts that you use', within=LIBRARY),
    Rule('todo', r'\bTODO\(now\)', 'do it', raw=True),
    Rule('todo', r'\bTODO\b(?!\((soon|someday|perf|port|test|now)\): \S)|\b(FIXME|XXX|HACK)\b',
         'write TODO(soon|someday|perf|port|test): what', raw=True),
    # Who may include whom.
    Rule('room', r'#\s*include\s*(<weir/(net|subprocess)/|"(net|subprocess|tests|tools)/)',
         'runtime/ stands on backends/ alone', within=r'runtime/'),
    Rule('room', r'#\s*include\s*"backends/(?!(backend|chosen)\.hpp")', 'runtime/ knows the contract, no backend', within=r'runtime/'),
    Rule('room', r'#\s*include\s*"(?!backends/)', 'backends/ include the operating system and themselves', within=r'backends/'),
    Rule('room', r'#\s*include\s*(<weir/subprocess/|"(subprocess|tests|tools)/)', 'net/ stands on runtime/ and backends/', within=r'net/'),
    Rule('room', r'#\s*include\s*"backends/(?!(backend|chosen|host)\.hpp")', 'net/ knows the contract, no backend', within=r'net/'),
    Rule('room', r'#\s*include\s*"', 'a public header includes only what is public: <weir/…>', within=LIBRARY + 'include/'),
    Rule('room', r'#\s*include\s*("(runtime|backends|net|subprocess|tests)/|<weir/detail/)',
         'the program uses public headers only', within=r'tools/'),
    Rule('config', r'\bWEIR_BACKEND_(?!NAME\b)[A-Z]+\b', 'only backends/chosen.hpp asks which backend it is', within=LIBRARY,
         unless=r'^backends/|^runtime/version\.cpp$'),
]

OWNING = re.compile(r'\bstd::(string|vector|function|map|unordered_map|set|deque|list|shared_ptr|unique_ptr|any)\b')
OPTIONS_STRUCT = re.compile(r'\bstruct\s+(?:WEIR_API\s+)?(\w*Options)\b[^;{]*\{')
INCLUDE = re.compile(r'#\s*include\s*[<"]([^>"]+)[>"]')


def files_of(root):
    """Everything tracked, and what is about to be; a tree without git is walked."""
    listed = subprocess.run(['git', '-C', root, 'ls-files', '-co', '--exclude-standard'], capture_output=True, text=True)
    if listed.returncode == 0 and (root / '.git').exists():
        names = listed.stdout.splitlines()
    else:
        names = [path.relative_to(root).as_posix() for path in root.rglob('*')]
    return sorted(name for name in set(names) if (root / name).is_file() and not name.startswith((CANARY, 'build')))


BLANKED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def blank(text):
    """The text with comments and literals blanked, its lines and columns kept. Names of included files stay."""
    def spaces(match):
        found = match.group(0)
        if found[0] == '"' and re.search(r'#\s*include\s*$', text[max(0, match.start() - 24):match.start()]):
            return found
        return re.sub(r'[^\n]', ' ', found)
    return BLANKED.sub(spaces, text)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def closing_brace(code, opening):
    depth = 0
    for match in re.compile(r'[{}]').finditer(code, opening):
        depth += 1 if match.group() == '{' else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def functions(code):
    """Yields (line, length) of each outermost function body: a block after a `)` that opens in no other function."""
    offset = 0
    for match in re.compile(r'\{').finditer(code):
        if match.start() < offset:
            continue
        head = re.split(r'[;{}]', code[:match.start()][-400:])[-1]
        head = re.sub(r'#[^\n]*', '', head)
        if ')' not in head or re.match(r'\s*(template\s*<.*>\s*)?(namespace|enum|class|struct|union)\b', head, re.DOTALL):
            continue
        end = closing_brace(code, match.start())
        yield line_of(code, match.start()), line_of(code, end) - line_of(code, match.start()) + 1
        offset = end


def check_cpp(path, text):
    code = blank(text)
    lines, raw_lines = code.split('\n'), text.split('\n')
    for rule in RULES:
        if rule.looks_at(path):
            for number, line in enumerate(raw_lines if rule.raw else lines, 1):
                if rule.pattern.search(line):
                    yield number, rule.name, rule.advice
    is_header = path.endswith('.hpp')
    # As the main file of a compilation, which a precompiled header is, it would be warned of.
    if is_header and '#pragma once' not in text and not path.endswith('/precompiled.hpp'):
        yield 1, 'pragma-once', 'a header begins with #pragma once'
    if not text.lstrip().startswith('//'):
        yield 1, 'opening', 'a file opens with one to five lines saying what it owns and what it does not'
    limit = LONG_FILES.get(path, HEADER_LINES if is_header else SOURCE_LINES)
    if len(raw_lines) - 1 > limit:
        yield limit + 1, 'file-length', f'{len(raw_lines) - 1} lines, and {limit} is the limit: split it by subject'
    for number, length in functions(code):
        if length > FUNCTION_LINES:
            yield number, 'function-length', f'{length} lines, and {FUNCTION_LINES} is the limit: split it'
    for match in OPTIONS_STRUCT.finditer(code):
        for member in re.compile(r'[^;]+;').finditer(code, match.end(), closing_brace(code, match.end() - 1)):
            owner = OWNING.search(member.group())
            # A pointer to one, a view of some, or a function that gives one is no owner.
            if owner and not re.search(r'\*|&|\bspan\s*<', member.group()):
                yield (line_of(code, member.start() + owner.start()), 'options',
                       f'{match.group(1)} holds {owner.group()}: options are trivially destructible (string_view, span, pointers)')
    for number, line in enumerate(raw_lines, 1):
        if len(line) > COLUMNS:
            yield number, 'columns', f'{len(line)} columns, and {COLUMNS} is the limit'


def check_text(text):
    for number, line in enumerate(text.split('\n'), 1):
        if line != line.rstrip():
            yield number, 'whitespace', 'trailing white space'
        elif '\t' in line:
            yield number, 'whitespace', 'a tab'
    if text and not text.endswith('\n'):
        yield text.count('\n') + 1, 'whitespace', 'no newline at the end of the file'


def check_backends_includes(texts):
    """Of weir's headers, backends/ know their own and the queue that completions go to."""
    known = {'weir/config.hpp', 'weir/detail/ready_queue.hpp'}
    known |= {path.removeprefix('backends/include/') for path in texts if path.startswith('backends/include/')}
    for path, text in texts.items():
        if path.startswith('backends/') and path.endswith(('.cpp', '.hpp')):
            for number, line in enumerate(blank(text).split('\n'), 1):
                header = re.search(r'#\s*include\s*<(weir/[^>]+)>', line)
                if header and header.group(1) not in known:
                    yield path, number, 'room', 'of weir, backends/ include their own headers and weir/detail/ready_queue.hpp'


def check_dead(texts):
    """A source that no meson.build names, and a private header that nobody includes or names."""
    named = {}
    for path, text in texts.items():
        if path.endswith('meson.build'):
            folder = path.rpartition('/')[0]
            for name in re.findall(r"'([^'\n]+\.(?:cpp|hpp))'", text):
                named[f'{folder}/{name}'.lstrip('/')] = path
    included = {name.rpartition('/')[2] for path, text in texts.items() if path.endswith(('.cpp', '.hpp'))
                for name in INCLUDE.findall(text)}
    for path in texts:
        if path.startswith('tests/subproject/'):
            continue
        if path.endswith('.cpp') and path not in named:
            yield path, 1, 'dead-file', 'no meson.build names this source'
        elif path.endswith('.hpp') and path not in named and '/include/' not in path and path.rpartition('/')[2] not in included:
            yield path, 1, 'dead-file', 'nobody includes this header'


TEXT = ('.cpp', '.hpp', '.in', '.py', '.md', '.txt', '.build', '.sh', '.yml', '.wrap', '.clang-format', '.clang-tidy', '.gitignore')


def check_tree(root):
    texts = {}
    for path in files_of(root):
        if path.endswith(TEXT) or '.' not in path.rpartition('/')[2]:
            try:
                texts[path] = (root / path).read_text(encoding='utf-8')
            except UnicodeDecodeError:
                continue
    for path, text in texts.items():
        if path.endswith(('.cpp', '.hpp', '.hpp.in')):
            yield from ((path, *finding) for finding in check_cpp(path, text))
        yield from ((path, *finding) for finding in check_text(text))
    yield from check_backends_includes(texts)
    yield from check_dead(texts)


def main(arguments):
    root = pathlib.Path(__file__).resolve().parent.parent
    if len(arguments) == 2 and arguments[0] == '--root' and pathlib.Path(arguments[1]).is_dir():
        root = pathlib.Path(arguments[1]).resolve()
    elif arguments:
        print('tidy.py: usage: tidy.py [--root DIR]', file=sys.stderr)
        return 2
    findings = sorted(set(check_tree(root)))
    for path, line, rule, advice in findings:
        print(f'{path}:{line}: {rule}: {advice}')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
