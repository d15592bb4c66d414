"""The command line: ``python -m pruning COMMAND …``. See ``--help`` of each command.

Exit status 0 on success, 2 on bad input with one line on standard error. ``HEADROOM_DEBUG=1`` shows tracebacks.
"""

from __future__ import annotations

import os
import sys

import click

from pruning.cli.cutting import prune
from pruning.cli.inspecting import describe, list_criteria, models
from pruning.cli.measuring import evaluate, score
from pruning.cli.planning import plan
from pruning.cli.sparsifying import sparsify
from pruning.cli.sweeping import sweep
from pruning.conformance.command import conformance
from pruning.errors import PruningError

LONGEST_LINE = 600  # of an error message: an odd file name can be much longer


def main() -> None:
    """Run the command line; every failure is one line."""
    try:
        status = commands(prog_name="python -m pruning", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except click.Abort:
        _fail("stopped", 130)
    except PruningError as error:
        _fail(str(error), 2)
    except Exception as error:  # the contract of the command line: never a traceback
        if os.environ.get("HEADROOM_DEBUG"):
            raise
        _fail(f"{type(error).__name__}: {error} (HEADROOM_DEBUG=1 shows where)", 1)


def _fail(message: str, status: int) -> None:
    line = " ".join(message.split())
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Headroom: which attention heads a transformer needs, and what it loses without the others."""


for _command in (models, list_criteria, describe, score, evaluate, plan, prune, sweep, sparsify, conformance):
    commands.add_command(_command)
