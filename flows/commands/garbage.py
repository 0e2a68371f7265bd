"""What ``unseen gc`` prints."""

from flows.commands.gc import Garbage, bytes_of


def print_garbage(garbage: Garbage, *, listed: bool) -> None:
    """How much there is of each kind; before that, where asked, each thing and what to do."""
    if listed:
        names = [f"run {run}" for run in garbage.runs]
        names += [file.key for file in garbage.records]
        names += [artefact.key for artefact in garbage.artefacts]
        names += [file.key for file in garbage.checkpoints]
        names += [str(folder) for folder in garbage.staging]
        for name in names:
            print(name)
    found = [(kind, count, size) for kind, (count, size) in bytes_of(garbage).items() if count]
    for kind, count, size in found:
        print(f"{kind}: {count}, {size / 2**20:.1f} MiB")
    if not found:
        print("there is nothing to remove")
    elif listed:
        print("nothing was removed; the same command with --delete removes what is listed")
