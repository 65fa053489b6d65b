"""The command ``gateway``: run, check, schema (CONTRACT §8)."""

import json
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import click

from gateway.config import Config, ConfigError, load
from gateway.config.reference import markdown
from gateway.config.schema import json_schema
from gateway.config.summary import summary

MISCONFIGURED = 2
"""The exit status for a configuration that cannot be used, as click's own for a wrong option."""


def _version() -> str:
    try:
        number = version("evergreen-gateway")
    except PackageNotFoundError:
        number = "of a source tree"
    return f"{number} (compiled)" if _is_compiled() else number


def _is_compiled() -> bool:
    """Whether the hot path is machine code (docs/adr/0011)."""
    found = find_spec("gateway.edge.express")
    return found is not None and (found.origin or "").endswith(tuple(EXTENSION_SUFFIXES))


def _load(path: Path) -> Config:
    """The configuration, or every problem on standard error and the end."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        click.echo(str(error), err=True)
    sys.exit(MISCONFIGURED)


_config = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default="gateway.toml",
    show_default=True,
    help="The configuration file.",
)


@click.group()
@click.version_option(_version(), prog_name="gateway")
def main() -> None:
    """A reverse proxy that refreshes expired access tokens in flight."""


@main.command()
@_config
def run(path: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = _load(path)
    from gateway.server import run as serve  # noqa: PLC0415  # `check` and `schema` need no server

    sys.exit(serve(config))


@main.command()
@_config
def check(path: Path) -> None:
    """Say whether the file is right, and what it would do. Exit status 2: it is not."""
    config = _load(path)
    click.echo(f"{path.name} is valid")
    for line in summary(config):
        click.echo(line)


@main.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="The reference docs/configuration.md instead.")
def schema(*, as_markdown: bool) -> None:
    """Print the JSON Schema of the file, for editors."""
    click.echo(markdown() if as_markdown else json.dumps(json_schema(), indent=2, ensure_ascii=False), nl=False)
    if not as_markdown:
        click.echo()
