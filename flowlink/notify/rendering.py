"""Turns a template into a mail: its head gives the subject, its body text and page alike.

A template is `email/name.txt`: lines `Subject: …` and, if wanted, `Button: …`, a blank line, then
paragraphs. With a button's label, the first paragraph that is an address alone becomes a button.
"""

import re
from dataclasses import dataclass

from flowlink.notify.content import Content
from flowlink.web import render

_BLANK_LINES = re.compile(r"\n\s*\n")
_ADDRESS = re.compile(r"https?://\S+\Z")
WRAPPER = "email/base.html"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of the mail's page. `href` is set when it is an address alone."""

    text: str
    href: str
    label: str


def content_of(*, template: str, lang: str, context: dict[str, str]) -> Content:
    """The mail in one language.

    :raises jinja2.TemplateError: no such template, or it wants what `context` has not.
    """
    environment = render.environment(lang)
    rendered = environment.get_template(f"{template}.txt").render(context)
    head, _, body = rendered.strip().partition("\n\n")
    fields = dict(_field(line) for line in head.splitlines())
    paragraphs = [part.strip() for part in _BLANK_LINES.split(body) if part.strip()]
    page = environment.get_template(WRAPPER).render(
        subject=fields["subject"], paragraphs=_parsed(paragraphs, fields.get("button", ""))
    )
    return Content(subject=fields["subject"], text="\n\n".join(paragraphs) + "\n", html=page)


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), " ".join(value.split())


def _parsed(paragraphs: list[str], label: str) -> list[Paragraph]:
    parsed = []
    for text in paragraphs:
        href = text if _ADDRESS.match(text) else ""
        parsed.append(Paragraph(text=text, href=href, label=label if href else ""))
        label = "" if href else label
    return parsed
