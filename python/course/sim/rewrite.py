"""Makes C++ of a CUDA program: g++ knows neither `<<<…>>>` nor `extern __shared__`.

Nothing else is changed, and no line moves, so that every message names the lines of the file.
"""

import re
from pathlib import Path

from ..errors import CourseError

# What is no code: comments, strings, characters.
OTHER = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
KERNEL = re.compile(r"[A-Za-z_][\w:]*\s*$")
DYNAMIC = re.compile(
    r"\bextern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*|alignas\s*\(\s*\d+\s*\)\s*)?"
    r"([\w:<>, \t]+?[\s*])(\w+)\s*\[\s*\]\s*;"
)
MAIN = re.compile(r"\bint\s+main\s*\(")
ENTRY = re.compile(r"\bvoid\s+run\s*\(\s*(?:void)?\s*\)\s*\{")
OPEN, CLOSE = "([{", ")]}"
# The linker's --wrap=main: what starts the program calls __wrap_main, and __real_main is its main.
WRAPPER = """extern "C" int __real_main(int, char**);
extern "C" int __wrap_main(int count, char** arguments) {
  return needle::sim::run_program(&__real_main, count, arguments);
}
"""


def rewrite(text: str, path: Path) -> str:
    """The program as C++, with a report at its end.

    CourseError if there is neither `int main` nor `void run()`, or a launch is not complete.
    """
    code = OTHER.sub(lambda match: _blank(match[0]), text)
    has_main = MAIN.search(code)
    if not has_main and not ENTRY.search(code):
        raise CourseError(f"{path} has neither a function int main() nor void run() to start with.")
    text = _launches(text, path)
    code = OTHER.sub(lambda match: _blank(match[0]), text)
    for match in reversed(list(DYNAMIC.finditer(code))):
        new = f"NEEDLE_DYNAMIC_SHARED({match[1].strip()}, {match[2]});"
        text = text[: match.start()] + new + "\n" * match[0].count("\n") + text[match.end() :]
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'#include "cuda_runtime.h"\n#line 1 "{quoted}"\n{text}\n'
        + ("" if has_main else "int main() { run(); }\n")
        + WRAPPER
    )


def _blank(text: str) -> str:
    """As long, with nothing in it but its line breaks."""
    return re.sub(r"[^\n]", " ", text)


def _launches(text: str, path: Path) -> str:
    """kernel<<<grid, block>>>(arguments) -> a call that the simulator understands."""
    while True:
        code = OTHER.sub(lambda match: _blank(match[0]), text)
        begin = code.find("<<<")
        if begin < 0:
            return text
        line = code.count("\n", 0, begin) + 1
        end = code.find(">>>", begin)
        opening = code.find("(", end) if end > 0 else -1
        if end < 0 or opening < 0 or code[end + 3 : opening].strip():
            raise CourseError(f"{path}:{line}: after <<< there is no >>>(arguments).")
        closing = _matching(code, opening)
        start = _kernel_start(code, begin)
        if closing < 0 or start < 0:
            raise CourseError(f"{path}:{line}: this launch is not complete: kernel<<<…>>>(…).")
        kernel = text[start:begin].strip()
        arguments = text[opening + 1 : closing]
        comma = ", " if code[opening + 1 : closing].strip() else ""
        new = (
            f"::needle::sim::launch_remembering({{{_string(kernel)}, __FILE__, {line}}}, "
            f"{{{text[begin + 3 : end]}}}, "
            f"[&](const auto&... needle_arguments) {{ {kernel}(needle_arguments...); }}"
            f"{comma}{arguments})"
        )
        lost = text.count("\n", start, closing) - new.count("\n")
        text = text[:start] + new + "\n" * max(lost, 0) + text[closing + 1 :]


def _string(text: str) -> str:
    return '"' + " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _matching(code: str, opening: int) -> int:
    """Where the bracket at `opening` is closed; -1 if nowhere."""
    waiting = []
    for i in range(opening, len(code)):
        if code[i] in OPEN:
            waiting.append(CLOSE[OPEN.index(code[i])])
        elif code[i] in CLOSE and waiting.pop() != code[i]:
            return -1
        if not waiting:
            return i
    return -1


def _kernel_start(code: str, end: int) -> int:
    """Where the name before `<<<` begins, template arguments included; -1 if there is none."""
    before = code[:end].rstrip()
    if before.endswith(">"):
        depth = inside = 0  # of angle brackets, and of others, in which > may be an operator
        for i in range(len(before) - 1, -1, -1):
            inside += (before[i] in CLOSE) - (before[i] in OPEN)
            if inside == 0:
                depth += (before[i] == ">") - (before[i] == "<")
            if depth == 0:
                before = before[:i]
                break
    match = KERNEL.search(before)
    return match.start() if match else -1
