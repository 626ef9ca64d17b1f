"""Words that pages, cards, reports and terminals share, and text from elsewhere made harmless in Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

NOTICE = "A research and teaching tool, not a medical device: it must not be used to diagnose or to decide on treatment."
_MARKUP = re.compile(r"[\\`*_\[\]|!#~]")
_STARTS = re.compile(r"^(?:[-+](?=\s|$)|\d+(?=[.)](?:\s|$)))")  # what begins a list, where it stands first
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)|(?<=\])(?=\([a-z]+:)", re.IGNORECASE)  # what may become a link by itself


def words(name: str) -> str:
    """A class name as words: "beyond_repair" becomes "Beyond repair"."""
    return name.replace("_", " ").capitalize()


def percent(probability: float) -> str:
    """A probability in whole per cent; never 0 or 100, which no model can claim."""
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def one_line(text: object) -> str:
    """Text without line ends and without characters that cannot be seen, some of which turn the direction of what follows."""
    return "".join(letter for letter in " ".join(str(text).split()) if letter.isprintable())


def printable_text(text: str) -> str:
    r"""`text` with each byte that is no UTF-8, as names of files may have them, as an escape: "film\xe9.png"."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_web_address(url: str) -> bool:
    """Whether `url` may become a link: http or https with a host, and nothing that ends a link's address in Markdown or HTML."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and re.fullmatch(r"https?://[^\s<>\"'\\`]+", url, re.IGNORECASE) is not None and url.isprintable()


def plain(text: object) -> str:
    """Text from data or file names as Markdown shows it: no markup, no link, no line break, no cell border."""
    escaped = _MARKUP.sub(r"\\\g<0>", html.escape(one_line(text), quote=False))
    started = _STARTS.sub(lambda found: f"\\{found[0]}" if found[0] in "-+" else f"{found[0]}\\", escaped)
    return _LINKS.sub(r"\\", started)


def span(interval: tuple[float, float] | None, form: str, joint: str = "–") -> str:
    """` (0.78–0.86)`, to stand behind a figure; nothing where there is no interval."""
    return "" if interval is None else f" ({interval[0]:{form}}{joint}{interval[1]:{form}})"


def command_point(command: str) -> list[str]:
    """What was run, as a point of a list; no point where it is not known."""
    return [f"Command: `{command.replace('`', '')}`"] if command else []


def bullets(points: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {point}" for point in points)
