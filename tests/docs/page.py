"""What a page of the documentation says of its commands, and whether that is so.

A command is a line that begins with "$ ", indented by four or in a ```console block, and goes on while lines end in a
backslash; what follows, up to the next command or the block's end, is its output. There "..." stands for anything,
white space counts as none or some, and numbers agree to 1e-6 of themselves.

In a table whose head is `| call | answer |` the first cell is what is added to curl (a path of its own, or the Filter
call's), and the second begins with the status; texts in backquotes, and reasons, are in the answer.
"""
import re

INDENT = "    "
REST = "http://127.0.0.1:8080"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# What another run prints otherwise: times of today, tokens, etags, lags.
CHANGING = re.compile(r"20[2-9]\d-\d\d-\d\dT[\d:.]+Z|(?<=oken\":\")[^\"]+|(?<=oken\": \")[^\"]+|"
                      r"(?<=etag\":\")[^\"]+|(?<=etag\": \")[^\"]+|(?<=lagSeconds\": )[\d.e+]+")
WIDTH, HEAD, TAIL = 150, 9, 4


class Part:
    """Lines of a page: text, or a command with its output; each as it stands there but for the output's indent."""

    def __init__(self, text=(), command=(), output=(), indent=""):
        self.text, self.command, self.output, self.indent = list(text), list(command), list(output), indent

    def words(self):
        return "\n".join(line[len(self.indent):] for line in self.command)[2:]


def parts(lines):
    i, fenced = 0, False
    while i < len(lines):
        if lines[i].startswith("```"):
            fenced = lines[i] == "```console"
        indent = "" if fenced else INDENT
        if not lines[i].startswith(indent + "$ "):
            yield Part(text=[lines[i]])
            i += 1
            continue
        command, output = [lines[i]], []
        while command[-1].endswith("\\"):
            i += 1
            command.append(lines[i])
        i += 1
        while i < len(lines) and lines[i].startswith(indent) and not lines[i].startswith((indent + "$ ", "```")):
            output.append(lines[i][len(indent):])
            i += 1
        yield Part(command=command, output=output, indent=indent)


def rows(lines):
    """(what is added to curl, answer) of the tables of calls."""
    on = False
    for line in lines:
        if line.startswith("| call |"):
            on = True
        elif not line.startswith("|"):
            on = False
        elif on and not line.startswith("|---"):
            call, answer = [cell.strip() for cell in line.strip("|").split(" | ", 1)]
            yield call.replace("\\|", "|").strip("`"), answer


# ---- commands --------------------------------------------------------------------------------------------------------

def pattern(shown):
    """The regular expression of an output, and the numbers in its groups."""
    expression, numbers = "", []
    for piece in re.split(r"(\.\.\.)", shown):
        if piece == "...":
            expression += ".*?"
            continue
        at = 0
        for m in NUMBER.finditer(piece):
            expression += literal(piece[at:m.start()]) + "(" + NUMBER.pattern + ")"
            numbers.append(float(m.group()))
            at = m.end()
        expression += literal(piece[at:])
    return re.compile(expression + r"\s*", re.S), numbers


def literal(text):
    return r"\s*".join(re.escape(word) for word in re.split(r"\s+", text))


def agree(shown, printed):
    """None, or what is otherwise."""
    expression, numbers = pattern(shown)
    m = expression.fullmatch(printed)
    if not m:
        return "another text"
    for want, got in zip(numbers, (float(x) for x in m.groups())):
        if abs(want - got) > 1e-6 * max(abs(want), 1e-3):
            return f"{got} in place of {want}"
    return None


def shorten(lines):
    lines = [CHANGING.sub("...", line) for line in lines]
    if len(lines) > HEAD + TAIL + 1:
        lines = lines[:HEAD] + ["..."] + lines[-TAIL:]
    return [line if len(line) <= WIDTH else cut(line) for line in lines]


def cut(line):
    """Without its middle; no number is cut in two."""
    return line[:WIDTH - 40].rsplit(",", 1)[0] + ",..." + re.sub(r"^[\d.eE+-]+", "", line[-36:])


# ---- tables of calls -------------------------------------------------------------------------------------------------

def curl_of(call):
    command = f"curl -s -i {REST}{call}" if call.startswith("/") else f"curl -s -i {REST}/api/v1/kalman:filter {call}"
    if "x-api-key" not in call:
        command += ' -H "x-api-key: $KEY"'
    if "content-type" not in call:
        command += " -H 'content-type: application/json'"
    return command


def is_answer(answer, printed):
    """None, or what is missing."""
    status = answer.split()[0].strip(",;:")
    if printed.split()[1:2] != [status]:
        return f"the status is not {status}"
    reasons = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", re.sub(r"`[^`]*`", "", answer))
    for said in re.findall(r"`([^`]*)`", answer) + [f'"reason":"{reason}"' for reason in reasons]:
        if said not in printed:
            return f"{said} is not in it"
    return None
