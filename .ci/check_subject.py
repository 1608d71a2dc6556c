"""Check subjects of commits: one line in the imperative, at most 72 characters.

python .ci/check_subject.py .git/COMMIT_EDITMSG
git log --format=%s main..HEAD | python .ci/check_subject.py --all
"""

import re
import sys
from pathlib import Path

LONGEST = 72
# "Added", "Adding" and "Adds" are not imperatives; "Process" and "Discuss" are.
OTHER_FORM = re.compile(r"\w+(ed|ing|[^s]s)$")
IMPERATIVE = {"Bring", "Embed", "Feed", "Focus", "Seed", "Shed", "Speed", "String"}


def fault(subject: str) -> str:
    """Return what is wrong with a subject; empty if nothing is."""
    first = subject.partition(" ")[0]
    if len(subject) > LONGEST:
        return f"{len(subject)} characters; at most {LONGEST}"
    if not re.fullmatch(r"[A-Z][a-z]+", first):
        return "the first word is not a verb that begins with a capital letter"
    if first not in IMPERATIVE and OTHER_FORM.fullmatch(first):
        return f"'{first}' is not in the imperative"
    return ""


def main(arguments: list[str]) -> int:
    """Check a file with a message, or each line of the standard input; return the exit code."""
    lines = sys.stdin if arguments == ["--all"] else Path(arguments[0]).read_text().splitlines()[:1]
    found = {line.strip(): fault(line.strip()) for line in lines}
    for subject, reason in found.items():
        if reason:
            print(f"commit subject: {reason}: {subject}", file=sys.stderr)
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
