"""The verb that shows the manual: help."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from io import StringIO

import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.markdown import Markdown

from disco_rq.cli.arguments import json_option
from disco_rq.cli.output import print_json
from disco_rq.cli.verbs import VERBS as VERB_NAMES
from disco_rq.manual import GROUPS, Page, nearest, page, search, topics

MOST_COLUMNS = 100
LINK = re.compile(r"\[([^\]]+)\]\((?:([\w-]+)\.md)?(?:#[\w-]+)?\)")


def complete_topics(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(topic) for topic in topics() if topic.startswith(incomplete)]


@click.command(epilog="\b\nExample:\n  disco-rq help first-job")
@click.argument("topic", nargs=-1, metavar="[TOPIC]", shell_complete=complete_topics)
@json_option
@click.pass_context
def help(ctx: click.Context, topic: tuple[str, ...], as_json: bool) -> None:
    """Show the manual: its topics, or the page of one.

    On a terminal page by page, into a pipe as Markdown. A verb that is no topic shows its own help.
    """
    word = "-".join(topic)
    found = page(word)
    if not word:
        _print_topics(as_json=as_json)
    elif found is not None:
        print_json(found._asdict()) if as_json else _show(found)
    elif word in VERB_NAMES:
        _print_verb(ctx, word)
    else:
        raise click.ClickException(_no_topic(" ".join(topic)))


def _print_topics(*, as_json: bool) -> None:
    pages = {title: [one for topic in group if (one := page(topic))] for title, group in GROUPS.items()}
    if as_json:
        print_json([{"topic": it.topic, "title": it.title} for group in pages.values() for it in group])
        return
    width = max(map(len, topics()))
    for title, group in pages.items():
        click.echo(title)
        for it in group:
            click.echo(f"  {it.topic:<{width}}  {it.title}: {_plain(it.summary)}")
    click.echo("\ndisco-rq help TOPIC shows one.")


def _print_verb(ctx: click.Context, name: str) -> None:
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    command = root.command.get_command(root, name)
    assert command is not None
    with click.Context(command, info_name=name, parent=root) as own:
        click.echo(command.get_help(own))


def _no_topic(word: str) -> str:
    near = nearest(word) or next(iter(get_close_matches(word, VERB_NAMES, n=1)), None)
    if near is not None:
        return f"there is no page {word!r}: disco-rq help {near}?"
    places = list(dict.fromkeys(hit.topic for hit in search(word)))[:3]
    return f"there is no page {word!r}: " + (
        f"it is told in {', '.join(places)}" if places else "disco-rq help lists all there are"
    )


def _show(found: Page) -> None:
    text = LINK.sub(lambda link: f"{link[1]} (help {link[2]})" if link[2] else link[1], found.text)
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    click.echo_via_pager(rendered(text, min(Console().width, MOST_COLUMNS)), color=True)


def rendered(text: str, columns: int) -> str:
    """Markdown as a terminal of so many columns shows it."""
    console = Console(file=StringIO(), force_terminal=True, width=columns)
    with console.capture() as capture:
        console.print(Markdown(text, hyperlinks=False))
    return capture.get()


def _plain(text: str) -> str:
    return LINK.sub(r"\1", text).replace("`", "")


VERBS = (help,)
