"""Text without folders, which may name people: of every path its last name is left."""

import re

_SEPARATOR = r"[\\/]+"
_WORD = r"[^\s\\/:*?\"'`<>|,;=()\[\]]+"
_NAME = rf"{_WORD}(?:[' ]{_WORD})*"  # of a folder: john doe, o'neil
_ABSOLUTE = rf"(?<![\w.~)\]-])(?:[A-Za-z]:|~\w*)?{_SEPARATOR}(?:{_NAME}{_SEPARATOR})*{_WORD}[\\/]*"
_RELATIVE = rf"(?<![\w.~-])[\w.~-]+(?:{_SEPARATOR}[\w.~-]+)+[\\/]*"
_PATHS = re.compile(rf"(?P<address>https?://\S+)|(?P<absolute>{_ABSOLUTE})|{_RELATIVE}")


def without_folders(text: str) -> str:
    """Every path in a text cut down to its last name; line breaks go as well.

    >>> without_folders("cannot open '/srv/john doe/x.so' or results/x.so: and/or stays")
    "cannot open 'x.so' or x.so: and/or stays"
    """
    return " ".join(_PATHS.sub(_shorter, text).split())


def last_name(path: str) -> str:
    """The last name of what is known to be one path, whatever its folders are called.

    >>> last_name("/home/a, b/o'neil/my file.json")
    'my file.json'
    """
    return re.split(_SEPARATOR, path.rstrip("\\/"))[-1]


def last_name_of_argument(word: str) -> str:
    """The same for a word of a command line, which may be an option with its value.

    >>> last_name_of_argument("--json=/home/john doe/a.json")
    '--json=a.json'
    """
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + last_name(value)


def _shorter(found: re.Match[str]) -> str:
    if found["address"]:
        return found[0]
    name = last_name(found[0])
    several = len(re.split(_SEPARATOR, found[0].strip("\\/"))) > 2
    is_path = found["absolute"] or several or re.search(r"\.\w", name)  # and not: and/or, GFLOP/s
    return name if is_path else found[0]
