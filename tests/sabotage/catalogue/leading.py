"""One daemon on one ledger."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a ledger has one lock by whatever name it is called",
        red_at="c04aa7b9a7",
        shows=("C13",),
        against=(Weakness.TWO_DAEMONS,),
        edits=(
            Edit(file="ledger/process_lock.py", old="    real = file.resolve()\n", new="    real = file.absolute()\n"),
        ),
        tests="contract/ledger/test_leading.py",
        red=("test_a_second_name_of_an_sqlite_file_finds_the_same_lock",),
    ),
    Sabotage(
        takes_out="a daemon that has lost the session of its lock stops",
        red_at="c04aa7b9a7",
        shows=("P4",),
        against=(Weakness.TWO_DAEMONS,),
        edits=(
            Edit(
                file="ledger/session.py",
                old="            mine = self._birth != birth and await connection.scalar(\n",
                new="            mine = await connection.scalar(\n",
            ),
        ),
        tests="contract/ledger/test_leading.py",
        red=("test_a_daemon_that_has_lost_the_session_of_its_lock_learns_of_it",),
    ),
    Sabotage(
        takes_out="a ledger that cannot be opened is told with the flag that says where it is to be",
        red_at="c04aa7b9a7",
        against=(Weakness.UNHELPFUL_ERROR,),
        edits=(
            Edit(
                file="ledger/process_lock.py",
                old='            "set --ledger sqlite:///PATH (ledger.url) to a file in an existing directory"\n',
                new='            "it is not there"\n',
            ),
        ),
        tests="contract/ledger/test_surviving_outages.py",
        red=("test_a_ledger_in_a_folder_that_does_not_exist_is_unavailable",),
    ),
    Sabotage(
        takes_out="who takes the lead reads what the open runs of an earlier version told by sentences",
        red_at="5b6aafbc40",
        shows=("C16",),
        edits=(Edit(file="ledger/epoch_fence.py", old="            await fill_in(connection)\n", new=""),),
        tests="contract/ledger/test_open_runs_of_an_earlier_version.py",
        red=(
            "test_the_verb_of_a_step_is_read_from_its_command",
            "test_a_reason_is_read_once",
            "test_notes_are_read_and_what_is_known_already_stays",
        ),
    ),
)
