"""Stage train: generators in `models/`, and the training history.

It launches the other training processes that the environment asks for. Killed at any moment, it
resumes with the same command.
"""

from srpipe.core import console, environment, paths
from srpipe.core.files import rounded
from srpipe.data.fingerprint import fingerprint
from srpipe.settings.base import load_section, read_params
from srpipe.settings.train import Train
from srpipe.tracking import lock, runs
from srpipe.training import processes, resume, run
from srpipe.training.loop import train


@console.entry_point
def main() -> None:
    """Train the configured generator; every training is an MLflow run."""
    settings = load_section("train", Train)
    task = run.task_of(settings)
    if processes.needed():
        environment.checkpoint_seconds()  # checked now, by one process
        task.check(processes.wanted())
        task.packed.verify()
        processes.launch("stages.train")
        return
    if not processes.launched():  # by a process that did this
        task.packed.verify()
    identity = run.identity(task)
    with processes.joined(environment.device_name()) as (group, device):
        group.require_same(fingerprint(identity))
        hardware = run.hardware_of(settings, group, device)
        if not group.first:
            train(task, hardware, None)
            return
        used = run.announce(task, hardware)
        # The first process reports, saves and writes for all.
        with (
            resume.opened(paths.interrupted(), identity) as store,
            runs.training_run(
                read_params(), settings.generator.name, store.name, resumed=store.exists()
            ) as tracked,
        ):
            tracked.tags({"hardware": used, **lock.hashes((paths.PACKED, paths.SPLIT))})
            result = train(
                task,
                hardware,
                store,
                lambda record: tracked.epoch(record.tracked(), record.epoch),
            )
            run.write_outputs(task, result, used)
            tracked.files(run.PLOTS, "plots")
            tracked.files(run.WEIGHTS, "weights")
            tracked.generator(result.generator, paths.GENERATOR)
            store.finish()
    last = result.history[-1]
    console.say(f"validation PSNR {rounded(last.psnr, 2)} dB; weights in {paths.GENERATOR}")


if __name__ == "__main__":
    main()
