"""`pinpool guide`: the manual, a page a topic."""

import sys

import click


@click.command(short_help="Read the manual.")
@click.argument("topic", required=False)
def guide(topic: str | None) -> None:
    """Show the page of the manual on TOPIC, or which topics there are.

    \b
    Example:
      pinpool guide web
    """
    from difflib import get_close_matches
    from importlib.resources import files

    pages = {page.name.removesuffix(".md"): page for page in (files("pinpool") / "manual").iterdir()}
    if topic is None:
        width = max(map(len, pages))
        for name in sorted(pages):
            title = pages[name].read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            click.echo(f"{name:{width}}  {title}")
        return
    if topic not in pages:
        close = get_close_matches(topic, pages, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(pages))}"
        raise click.BadParameter(f"no page on {topic!r}; {hint}", param_hint="TOPIC")
    text = pages[topic].read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.pager(styles=True):
        console.print(Markdown(text))
