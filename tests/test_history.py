"""The history: everything comes back, owners see their own alone, nothing is lost, old databases are migrated."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, text, update

from pruning.errors import PruningError
from pruning.history import opening, tables
from pruning.history.database import ORDERS, History, Wanted
from pruning.history.files import as_csv, as_json
from pruning.history.opening import migrate, open_engine
from pruning.history.records import KINDS, HistoryError, Record
from pruning.history.tables import METADATA, RECORDS, derived, to_row
from pruning.masks import HeadId, Mask, NeuronId

ROOT = Path(__file__).resolve().parents[1]
POSTGRES = os.environ.get("HEADROOM_TEST_POSTGRES", "")  # URL of a database that tests may write schemas into
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MASK = Mask.parse_heads("0:3,2:5")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'history.sqlite'}"
        return
    if not POSTGRES:
        pytest.skip("no PostgreSQL here: HEADROOM_TEST_POSTGRES names one (and requirements-postgres.txt its driver)")
    schema, engine = f"headroom_{uuid.uuid4().hex}", create_engine(POSTGRES)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{POSTGRES}?options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., History]]:
    """Opens the database; what was opened is closed at the end."""
    found: list[History] = []

    def open_history(**options: Any) -> History:
        found.append(History(url, **options))
        return found[-1]

    yield open_history
    for history in found:
        history.close()


@pytest.fixture
def history(opened: Callable[..., History]) -> History:
    return opened()


def record(owner: str = "me", minutes: int = 0, **changes: Any) -> Record:
    made = NOON + timedelta(minutes=minutes)
    return replace(Record("evaluation", owner, "demo", "weights", "demo", "rows", MASK, made=made), **changes)


def accuracy(value: float) -> dict[str, Any]:
    return {"accuracy": {"value": value, "low": value - 0.1, "high": value + 0.1}}


# Round trips -----------------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
pairs = st.frozensets(st.tuples(st.integers(0, 40), st.integers(0, 4000)), max_size=8)
masks = st.builds(
    lambda heads, neurons, layers: Mask(
        frozenset(HeadId(*pair) for pair in heads), frozenset(NeuronId(*pair) for pair in neurons), layers
    ),
    pairs, pairs, st.frozensets(st.integers(0, 40), max_size=4),
)  # fmt: skip
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=8))])
records = st.builds(
    Record,
    kind=st.sampled_from(sorted(KINDS.all())), owner=st.just("me"), model=words, model_fingerprint=words, data=words,
    data_fingerprint=words, mask=masks, settings=st.dictionaries(words, values, max_size=3),
    numbers=st.dictionaries(words, values, max_size=3), seconds=st.floats(0, 1e9), name=words, starred=st.booleans(),
    made=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=records)
def test_everything_comes_back(history: History, made: Record) -> None:
    kept = history.add(made)
    assert kept == replace(made, id=kept.id)
    again = history.get("me", kept.id)
    assert again == kept
    assert again.made.tzinfo is UTC
    assert history.delete("me", [kept.id]) == [kept]
    history.restore([kept])
    assert history.get("me", kept.id) == kept


def test_what_no_database_takes_is_replaced(opened: Callable[..., History]) -> None:
    kept = opened().add(record(name="a\0b", data="folder/\udcff"))
    again = opened().get("me", kept.id)
    assert (again.name, again.data) == ("a\N{REPLACEMENT CHARACTER}b", "folder/?")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "walk"}, "there are evaluation"),
        ({"owner": ""}, "no owner"),
        ({"made": datetime(2026, 1, 1)}, "zone"),
        ({"seconds": -1.0}, "-1"),
        ({"seconds": float("nan")}, "nan"),
    ],
)
def test_a_record_says_what_is_wrong_with_it(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(HistoryError, match=words):
        record(**changes)


# Owners ----------------------------------------------------------------------------------------------------------


def test_owners_never_see_or_change_each_others(history: History) -> None:
    mine, yours = history.add(record("me")), history.add(record("you", name="yours"))
    assert history.find("me") == [mine]
    assert history.count("you") == 1
    assert history.get("me", yours.id) is None
    assert not history.rename("me", yours.id, "mine now")
    assert history.star("me", [yours.id]) == 0
    assert history.delete("me", [yours.id]) == []
    assert history.clear("me") == [mine]
    assert history.find("you") == [yours]
    assert history.sources("me") == []
    assert history.find("") == []


def test_a_session_hands_over_to_its_browser(history: History) -> None:
    history.add(record("session"))
    history.add(record("browser", 1))
    assert history.hand_over("session", "browser") == 1
    assert history.count("browser") == 2
    assert history.count("session") == 0


# Finding ---------------------------------------------------------------------------------------------------------


def test_filters(history: History) -> None:
    one = history.add(record(name="Half Gone", starred=True))
    two = history.add(record(minutes=1, kind="sweep", model="digits", data="digits", settings={"kind": "macs"}))
    found: list[tuple[Wanted, list[Record]]] = [
        (Wanted(), [two, one]),
        (Wanted(kinds=("sweep", "export")), [two]),
        (Wanted(text="half g"), [one]),
        (Wanted(text=" MACS "), [two]),
        (Wanted(starred=True), [one]),
        (Wanted(model="digits"), [two]),
        (Wanted(data="demo"), [one]),
        (Wanted(text="half", model="digits"), []),
    ]
    for wanted, expected in found:
        assert history.find("me", wanted) == expected
        assert history.count("me", wanted) == len(expected)
    assert history.sources("me") == [("digits", "digits"), ("demo", "demo")]
    with pytest.raises(HistoryError, match="there is no kind of record 'walk'"):
        history.find("me", Wanted(kinds=("walk",)))


@pytest.mark.parametrize("hostile", ["'; DROP TABLE headroom_records; --", "%", "_", "/", "\\", '" OR 1=1 --', "a%b_"])
def test_searched_words_are_only_words(hostile: str, history: History) -> None:
    plain, same = history.add(record(name="plain")), history.add(record(minutes=1, name=f"x {hostile} y"))
    assert history.find("me", Wanted(text=hostile)) == [same]
    assert history.find(hostile) == []
    assert history.find("me", Wanted(model=hostile)) == []
    assert history.rename("me", plain.id, hostile)
    assert history.get("me", plain.id).name == hostile
    assert history.count("me") == 2


def test_orders_and_pages(history: History) -> None:
    kept = [
        history.add(record(minutes=i, seconds=float(i % 3), numbers=accuracy(0.1 * i) if i else {})) for i in range(5)
    ]
    for order in ORDERS:
        for descending in (True, False):
            pages = [history.find("me", None, order, descending, 2, offset) for offset in (0, 2, 4)]
            assert sorted(one.id for page in pages for one in page) == [one.id for one in kept]
    assert [one.id for one in history.find("me", None, "metric")] == [one.id for one in [*kept[:0:-1], kept[0]]]
    assert history.find("me", None, "metric", False)[-1] == kept[0]  # what was not measured comes last, both ways
    with pytest.raises(HistoryError, match="sorted by 'owner'"):
        history.find("me", None, "owner")


# Changing --------------------------------------------------------------------------------------------------------


def test_the_same_work_again_moves_up_and_keeps_its_name(history: History) -> None:
    first = history.add(record(numbers=accuracy(0.5) | {"steps": 3}, name="mine", seconds=2.0))
    other = history.add(record(minutes=1, mask=Mask()))
    again = history.add(record(minutes=2, numbers=accuracy(0.6), settings={"criterion": "magnitude"}), again_within=9)
    assert again.id == first.id
    assert history.find("me") == [again, other]
    assert (again.name, again.seconds, again.made) == ("mine", 2.0, NOON + timedelta(minutes=2))
    assert again.numbers == accuracy(0.6) | {"steps": 3}
    assert history.add(record(minutes=3), again_within=0).id != first.id
    assert history.add(record("you", 4), again_within=9).id not in (first.id, other.id)


def test_the_same_work_long_ago_is_recorded_again(history: History) -> None:
    first = history.add(record())
    for minute in range(1, 4):
        history.add(record(minutes=minute, mask=Mask.parse_heads(f"0:{minute}")))
    assert history.add(record(minutes=9), again_within=3).id != first.id


POINTS = tuple({"mask": "Ag", "accuracy": 0.1 * i, "latency_ms": None, "seed": i} for i in range(3))


def test_points_are_kept_and_lists_leave_them_out(history: History) -> None:
    made = history.add(record(kind="sweep", points=POINTS))
    assert history.find("me") == [replace(made, points=())]
    assert history.find("me", points=True) == [made]
    assert history.get("me", made.id) == made
    history.restore(history.delete("me", [made.id]))
    history.restore(history.clear("me"))
    assert history.get("me", made.id) == made
    again = history.add(record(kind="sweep", minutes=1, points=POINTS[:2]), again_within=5)
    assert history.get("me", again.id).points == POINTS[:2]


@pytest.mark.parametrize(
    "damaged", ["x", "{}", "[]", '{"columns": ["a"], "rows": [[1, 2]]}', '{"columns": 1, "rows": [1]}']
)
def test_damaged_points_leave_the_record(damaged: str, history: History) -> None:
    made = history.add(record(kind="sweep", points=POINTS))
    with history.engine.begin() as connection:
        connection.execute(update(RECORDS).values(points=damaged))
    assert history.get("me", made.id) == replace(made, points=())


def test_more_points_than_a_record_holds_are_not_kept(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_LETTERS", 100)
    made = history.add(record(kind="sweep", points=POINTS * 20))
    assert history.get("me", made.id) == replace(made, points=())


def test_the_oldest_make_room_except_named_and_starred_ones(opened: Callable[..., History]) -> None:
    history = opened(kept=3)
    history.add(record("you"))
    named, starred = history.add(record(name="named")), history.add(record(minutes=1, starred=True))
    scenario = history.add(record(minutes=1, kind="scenario"))
    rest = [history.add(record(minutes=2 + i)) for i in range(6)]
    assert history.find("me") == [*rest[:2:-1], scenario, starred, named]
    assert history.count("you") == 1


def test_names_stars_and_deletion(history: History) -> None:
    numbers = [history.add(record(minutes=i)).id for i in range(3)]
    assert history.rename("me", numbers[0], "  half  ")
    assert history.get("me", numbers[0]).name == "half"
    assert history.star("me", numbers[:2]) == 2
    assert history.star("me", numbers[:1], False) == 1
    assert [one.starred for one in history.find("me")] == [False, True, False]
    gone = history.delete("me", [*numbers[1:], 10**6])
    assert len(gone) == 2
    assert history.count("me") == 1
    fresh = history.add(record(minutes=7))
    assert fresh.id not in numbers  # a number is not given twice
    history.restore(gone)
    history.restore(gone)
    assert history.count("me") == 4


# Many at once ----------------------------------------------------------------------------------------------------


def test_many_threads_lose_nothing(opened: Callable[..., History]) -> None:
    shared, own, errors = opened(), opened(), list[BaseException]()

    def work(number: int) -> None:
        try:
            for i in range(50):
                (shared if number % 2 else own).add(record(f"owner {number % 3}", i, name=f"{number} {i}"))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    names = [one.name for number in range(3) for one in shared.find(f"owner {number}")]
    assert sorted(names) == sorted(f"{number} {i}" for number in range(8) for i in range(50))


def test_processes_open_a_fresh_database_at_once(url: str, opened: Callable[..., History]) -> None:
    code = (
        "import sys; from pruning.history.database import History; from pruning.history.records import Record\n"
        "sys.stdin.readline()\n"
        "history = History(sys.argv[1])\n"
        "for i in range(20): history.add(Record('export', 'me', 'demo', '', 'demo', ''))"
    )
    command, environment = [sys.executable, "-c", code, url], {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]  # fmt: skip
    for one in running:
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate(timeout=60)[1] for one in running] == ["", ""]
    assert opened().count("me") == 40


# Opening ---------------------------------------------------------------------------------------------------------


def test_from_revision_1_upward(url: str, opened: Callable[..., History], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "migrate", lambda engine: migrate(engine, "1"))
        engine = open_engine(url)
    made = record(numbers=accuracy(0.75), settings={"compensation": "mean", "criterion": "gradient"})
    old = {name: value for name, value in to_row(made).items() if name not in (*derived(made), "points")}
    with engine.begin() as connection:
        connection.execute(insert(RECORDS).values(old))
    engine.dispose()
    history = opened()
    (found,) = history.find("me")
    assert found == replace(made, id=found.id)
    assert history.add(made, again_within=5).id == found.id  # it is recognised as the same work
    with history.engine.begin() as connection:
        row = connection.execute(text("SELECT metric, units FROM headroom_records")).one()
    assert tuple(row) == (0.75, 2)


def test_a_newer_database_is_refused_and_left_alone(url: str) -> None:
    History(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE headroom_version SET version_num = '99'"))
    with pytest.raises(HistoryError, match=r"newer version.*revision 99.*knows 1 to"):
        History(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM headroom_version")).scalar() == "99"
    engine.dispose()


def test_the_schema_is_what_the_program_thinks(url: str) -> None:
    """No migration has been forgotten: alembic finds nothing to do."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = open_engine(url)
    with engine.connect() as connection:
        options = {"version_table": "headroom_version", "compare_server_default": False}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    engine.dispose()
    assert [change for change in found if change[0] != "remove_index"] == []


def test_a_broken_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is no database" * 500)
    with pytest.raises(HistoryError, match="not a database"):
        History(f"sqlite:///{path}")


def test_a_read_only_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    History(f"sqlite:///{path}").close()
    with pytest.raises(HistoryError, match=r"readonly|read-only|unable to open"):
        History(f"sqlite:///file:{path}?mode=ro&uri=true")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "examples"),
        ("sqlite://", "needs a file"),
        ("oracel://host/name", "examples"),
        ("sqlite:////dev/null/folder/history.sqlite", "cannot be used"),
    ],
)
def test_a_useless_url_says_so(url: str, words: str) -> None:
    with pytest.raises(HistoryError, match=words):
        History(url)


def test_no_password_is_shown() -> None:
    with pytest.raises(HistoryError) as found:
        History("postgresql://me:secret@localhost:1/none")
    assert "secret" not in str(found.value)


def test_a_database_that_breaks_later_raises_our_own_error(history: History) -> None:
    with history.engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("DROP TABLE headroom_records"))
    with pytest.raises(PruningError, match="cannot be used now"):
        history.find("me")
    with pytest.raises(PruningError, match="cannot be used now"):
        history.add(record())


def test_a_damaged_record_is_in_nobodys_way(history: History) -> None:
    bad, good = history.add(record()), history.add(record(minutes=1))
    with history.engine.execution_options(writes=True).begin() as connection:
        connection.execute(text(f"UPDATE headroom_records SET settings = '{{' WHERE id = {bad.id}"))
    assert history.find("me") == [good]


# Files -----------------------------------------------------------------------------------------------------------


def test_files() -> None:
    endless = {"accuracy": {"value": 0.5, "low": float("-inf"), "high": float("inf")}, "removed": {"heads": [5, 72]}}
    made = replace(record(name="=SUM(A1)", numbers=endless, settings={"a": float("nan")}, points=POINTS), id=7)
    (row,) = json.loads(as_json([made]))["records"]
    assert row["numbers"]["accuracy"] == {"value": 0.5, "low": None, "high": None}
    assert row["points"] == list(POINTS)
    assert (row["id"], row["mask"]["heads"], row["made"]) == (7, [[0, 3], [2, 5]], NOON.isoformat())
    (line,) = csv.DictReader(io.StringIO(as_csv([made])))
    assert line["name"] == "'=SUM(A1)"  # no spreadsheet runs it
    assert (line["heads removed"], line["layers removed"], line["value"], line["metric"]) == (
        "5",
        "0",
        "0.5",
        "accuracy",
    )
    assert Mask.from_code(line["mask"]) == MASK
    assert as_csv([]).count("\n") == 1
