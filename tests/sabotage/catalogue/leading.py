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
                old="f\"set --ledger sqlite:///PATH (ledger.url) to a file in {_FOLDERS.get(error.errno or 0, 'an existing folder')}\"",
                new='"it is not there"',
            ),
        ),
        tests="contract/ledger/test_surviving_outages.py",
        red=("test_a_ledger_in_a_folder_that_does_not_exist_is_unavailable",),
    ),
    Sabotage(
        takes_out="a ledger with a schema that this version does not know is refused",
        red_at="5f44c43ebe",
        shows=("C16",),
        edits=(
            Edit(
                file="ledger/schema.py",
                old="    version = MigrationContext.configure(connection).get_current_revision()\n",
                new="    version = MigrationContext.configure(connection).get_current_revision() and _scripts().get_current_head()\n",
            ),
        ),
        tests="contract/ledger/test_keeping_the_schema.py",
        red=("test_a_ledger_with_another_schema_is_refused",),
    ),
    Sabotage(
        takes_out="a database that lacks commits of ours is led no more",
        red_at="1e4ca382b4",
        shows=("D3",),
        against=(Weakness.LOST_COMMIT,),
        edits=(
            Edit(
                file="ledger/store.py",
                old="            await self.check_commits(connection)\n",
                new="",
            ),
        ),
        tests="contract/ledger/test_leading.py",
        red=("test_a_replica_that_takes_over_without_the_last_commits_is_noticed_and_one_with_them_is_served",),
    ),
)
