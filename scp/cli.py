"""The command line: what can be asked, nothing about how it is done.

Every command imports what it needs when it is called: `--help` and `status` do not wait for TensorFlow.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from inference.errors import InferenceError
from scp.configuration.errors import ConfigError
from scp.errors import FAILED, OK, WRONG_USAGE, CommandError
from storage.errors import StorageError

if TYPE_CHECKING:
    from scp.configuration.settings import Settings

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through all installed packages

# ruff: noqa: PLC0415 - imports inside commands are the point, see above

DEFAULT_CONFIG: Final = Path("config.toml")
CONFORMANCE: Final = Path("docs/conformance.md")

LOOKING: Final = ("status", "studies")
"""Commands that read rows and print them: nothing is logged, and nothing put in order at their end."""

FIRST_LINES: Final = """\
there is no configuration file here. Name one with --config PATH, or write ./config.toml;
these lines are enough (with the AE title and address of your PACS):

    [[peers]]
    ae_title = "PACS"
    host = "192.0.2.7"
    port = 104
"""

# "[" of a help text is written "\[": Rich takes "[node]" for its markup, and leaves it out
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that gives every mammogram a second read. Without a command it starts the node.",
)

Config: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", metavar="PATH", help="Configuration file; ./config.toml by default."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def main() -> int:
    """Run the command line; return the exit code. What can be expected to go wrong ends in a sentence."""
    try:
        app(prog_name="secondread")
    except ConfigError as error:
        return _print_error(error, WRONG_USAGE)
    except CommandError as error:
        return _print_error(error, error.code)
    except (StorageError, InferenceError) as error:
        return _print_error(error, FAILED)
    except BrokenPipeError:
        # the reader of a pipe has gone (`| head`); nothing may be written to it at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return OK


def _print_error(error: Exception, code: int) -> int:
    from scp import terminal

    terminal.say(terminal.err(), str(error))
    return code


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    *,
    config: Config = None,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=r"receive, work, deliver, console or all: what this process does; \[node] role.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Start the node, unless a command says otherwise."""
    os.umask(0o077)  # results of `analyze --output` hold a patient's name
    context.obj = config
    if version:
        from scp import terminal
        from scp.product import __version__

        terminal.out().print(__version__)
        raise typer.Exit
    if context.invoked_subcommand in LOOKING:
        return
    if context.invoked_subcommand is not None:
        gc.enable()  # `scp.__main__` has put it off; a node has it from when it listens
    from inference import imports

    with imports.without("rich"):  # structlog would draw traces with it
        from scp import logs
    from scp.configuration.sections import Log

    logs.configure(Log(level="warning"))
    if role is not None:
        os.environ["SECONDREAD_NODE__ROLE"] = role  # as if it stood there: SIGHUP reads it again
    if context.invoked_subcommand is None:
        settings = _settings(context, None)
        logs.configure(settings.log)
        with imports.without("requests"):  # pydicom would fetch examples with it
            from scp import node

        raise typer.Exit(node.run(settings, path=_path(context, None)))


@app.command()
def demo(context: typer.Context, *, config: Config = None) -> None:
    """Send two real studies through a node of its own and show what comes back (into ./var/demo)."""
    from scp.demo import run

    settings = _settings(context, config) if config or context.obj else _defaults()
    raise typer.Exit(run.run(Path("var/demo"), settings))


@app.command()
def check(context: typer.Context, *, config: Config = None, as_json: Json = False) -> None:
    """Check configuration, database, weights, disk and ports, and call peers and servers; alarms nobody."""
    settings = _settings(context, config)
    from scp.operating.checking import command

    raise typer.Exit(command.run(settings, _path(context, config), as_json=as_json))


@app.command()
def console(context: typer.Context, *, config: Config = None) -> None:
    """Show the web pages of a node that is stopped, or has none: studies, results, and Analyse a file."""
    settings = _settings(context, config)
    from scp import logs
    from scp.console import process

    logs.configure(settings.log)
    raise typer.Exit(process.run(settings))


@app.command()
def conformance(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(metavar="FILE", help="Where it is written.")] = CONFORMANCE,
    config: Config = None,
) -> None:
    """Write the DICOM conformance statement of this node, as it is configured."""
    settings = _settings_or_defaults(context, config)
    from scp.operating.conformance import command

    raise typer.Exit(command.run(settings, output))


@app.command()
def status(context: typer.Context, *, config: Config = None, as_json: Json = False) -> None:
    """Show whether the node runs, what waits, what is owed to whom, and what is parked and why."""
    settings = _settings(context, config)
    from scp.operating import status

    raise typer.Exit(status.run(settings, as_json=as_json))


@app.command()
def studies(
    context: typer.Context,
    study_uid: Annotated[str | None, typer.Argument(metavar="[UID]", help="Show the history of one.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Show so many, the latest.")] = 100,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List studies and where they stand; with a UID, what happened to one."""
    settings = _settings(context, config)
    from scp.operating import studies

    raise typer.Exit(studies.run(settings, study_uid=study_uid, limit=limit, as_json=as_json))


@app.command()
def retry(
    context: typer.Context,
    *,
    study: Annotated[str | None, typer.Option(metavar="UID", help="One study.")] = None,
    destination: Annotated[str | None, typer.Option(metavar="AE", help="Deliveries to one peer.")] = None,
    all_parked: Annotated[bool, typer.Option("--all", help="Everything that is parked or waits.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let parked jobs and deliveries start over, and deliveries that wait for their time be due now."""
    settings = _settings(context, config)
    from scp.operating import retry

    raise typer.Exit(
        retry.run(settings, study_uid=study, destination=destination, all_parked=all_parked, as_json=as_json)
    )


@app.command()
def calibrate(
    context: typer.Context,
    *,
    flag_rate: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.5, help=r"Wanted share of flagged examinations; \[model] flag_rate."),
    ] = None,
    scanner: Annotated[str | None, typer.Option(metavar="NAME", help="One scanner, as it is shown.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Put what is proposed in force.")] = False,
    accepted_by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who accepts; the login name by default.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the scores of each scanner, and propose from where on its breasts are flagged."""
    settings = _settings(context, config)
    from scp.operating import calibrate

    raise typer.Exit(
        calibrate.run(
            settings,
            flag_rate=flag_rate,
            accept=accept,
            scanner=scanner,
            accepted_by=accepted_by,
            as_json=as_json,
        )
    )


@app.command()
def fetch(
    context: typer.Context,
    *,
    accession: Annotated[list[str], typer.Option(metavar="NUMBER", help="May be repeated.")] = [],  # noqa: B006 - typer copies it
    study: Annotated[list[str], typer.Option(metavar="UID", help="May be repeated.")] = [],  # noqa: B006 - as above
    patient: Annotated[str | None, typer.Option(metavar="ID", help="Patient ID.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="Study date, included.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Study date, included.")] = None,
    listed: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", help="CSV: accession, study_uid, patient_id, from, to."),
    ] = None,
    peer: Annotated[str | None, typer.Option(metavar="AE", help="Whom to ask, if several can be.")] = None,
    per_hour: Annotated[
        float | None, typer.Option(min=0.1, help="Fetch at most so many studies an hour.")
    ] = None,
    hours: Annotated[
        str | None, typer.Option(metavar="22-6", help="Fetch in these hours of the day alone.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Fetch studies that a peer has, and nobody has sent: C-FIND, then C-MOVE to the node, else C-GET."""
    settings = _settings(context, config)
    from scp.fetching import query
    from scp.operating import fetch

    queries = [] if listed is None else query.of_list(listed)
    queries += query.of_options(
        accessions=accession, study_uids=study, patient_id=patient, first=first, last=last
    )
    raise typer.Exit(
        fetch.run(settings, queries, peer_name=peer, per_hour=per_hour, hours=hours, as_json=as_json)
    )


@app.command()
def analyze(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="DICOM, PNG or JPEG; or folders.")],
    *,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write overlay PNGs and DICOM results here.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Analyse files without any network."""
    # no peer and no port is needed here, so the default file may be missing
    settings = _settings_or_defaults(context, config)
    from scp.operating import analyze

    raise typer.Exit(analyze.run(settings, files, output=output, as_json=as_json))


@app.command()
def backup(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, such as monday.tar.")],
    *,
    config: Config = None,
) -> None:
    """Write database, images and results into one file, also while the node runs."""
    settings = _settings(context, config)
    from scp.operating import whole_database

    raise typer.Exit(whole_database.back_up(settings, target))


@app.command()
def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` has written.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of the database; that one stays beside.")
    ] = False,
    config: Config = None,
) -> None:
    """Put a backup back, also while the node runs: it starts again with it."""
    settings = _settings(context, config)
    from scp.operating import whole_database

    raise typer.Exit(whole_database.restore(settings, source, replace=replace))


@app.command("move-database")
def move_database(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(metavar="URL", help="postgresql+psycopg://USER@HOST/DATABASE, or sqlite."),
    ],
    *,
    config: Config = None,
) -> None:
    r"""Move the database of a stopped node to PostgreSQL, or back to the file in \[node] data_dir."""
    settings = _settings(context, config)
    from scp.operating import whole_database

    raise typer.Exit(whole_database.move(settings, target))


user = typer.Typer(help="Who may use the console.", no_args_is_help=True)
app.add_typer(user, name="user")

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME")]


@user.command("add")
def user_add(
    context: typer.Context,
    name: Name,
    *,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "viewer",
    config: Config = None,
) -> None:
    """Add a user; the password is asked for, or read from a pipe."""
    settings = _settings(context, config)
    from scp.console import user_commands

    raise typer.Exit(user_commands.add(settings, name, role=role))


@user.command("remove")
def user_remove(context: typer.Context, name: Name, *, config: Config = None) -> None:
    """Remove a user, with its sessions and tokens."""
    settings = _settings(context, config)
    from scp.console import user_commands

    raise typer.Exit(user_commands.remove(settings, name))


@user.command("list")
def user_list(context: typer.Context, *, config: Config = None, as_json: Json = False) -> None:
    """List the users."""
    settings = _settings(context, config)
    from scp.console import user_commands

    raise typer.Exit(user_commands.show(settings, as_json=as_json))


@user.command("token")
def user_token(
    context: typer.Context,
    name: Name,
    *,
    label: Annotated[str, typer.Option(help="What it is for.")] = "token",
    config: Config = None,
) -> None:
    """Print a token with which a program comes as this user."""
    settings = _settings(context, config)
    from scp.console import user_commands

    raise typer.Exit(user_commands.token(settings, name, label=label))


alert = typer.Typer(help="Who is told of what needs a person.", no_args_is_help=True)
app.add_typer(alert, name="alert")


@alert.command("test")
def alert_test(context: typer.Context, *, config: Config = None) -> None:
    r"""Send a test to everybody whom \[alerts] names."""
    settings = _settings(context, config)
    from scp.alerts import watch

    raise typer.Exit(watch.send_test(settings))


def _path(context: typer.Context, config: Path | None) -> Path:
    """Return the file named behind the command, else before it, else the default."""
    return config or context.obj or DEFAULT_CONFIG


def _settings(context: typer.Context, config: Path | None) -> Settings:
    path = _path(context, config)
    if path == DEFAULT_CONFIG and not path.exists():
        raise CommandError(FIRST_LINES, code=WRONG_USAGE)
    from scp.configuration.settings import load

    return load(path, os.environ)


def _settings_or_defaults(context: typer.Context, config: Path | None) -> Settings:
    """Read the settings of a command that can do without a file of that name."""
    missing = _path(context, config) == DEFAULT_CONFIG and not DEFAULT_CONFIG.exists()
    return _defaults() if missing else _settings(context, config)


def _defaults() -> Settings:
    from scp.configuration.settings import defaults

    return defaults()
