"""Every client's connection killed on the server, with sends in flight."""

from __future__ import annotations

from ops.soak.trial import Fault, Size, Trial


def run(trial: Trial) -> None:
    stage = trial.stage
    files, memory = {}, {}
    with stage.client() as client:
        for number in trial.pulls():
            trial.pause()
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)
            trial.pull()
            if number == 0:
                # From the second on, everything that is opened once is open.
                files = {worker: worker.open_files() for worker in stage.workers}
                memory = {worker: worker.megabytes() for worker in stage.workers}
    trial.expect_all_room()
    # Connections to SES come and go with the load.
    grown = max(worker.open_files() - files[worker] for worker in stage.workers)
    trial.expect("open files of a worker grew by", grown, 2 * stage.wanted.concurrency)
    larger = max(worker.megabytes() - memory[worker] for worker in stage.workers)
    trial.note(f"a worker's memory grew by {larger:.1f} MB at most")


FAULT = Fault(
    name="connections",
    what="CLIENT KILL of every connection to Valkey",
    run=run,
    long=Size(messages=20_000, times=30),
    short=Size(messages=1_200, times=3),
)
