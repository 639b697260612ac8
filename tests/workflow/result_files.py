"""What is below a folder of results, to be compared."""


def contents(folder, pattern="**/*"):
    """The bytes of each file, by its path below the folder; but of records, which hold times."""
    files = (path for path in folder.glob(pattern) if path.is_file() and not is_record(path))
    return {path.relative_to(folder): path.read_bytes() for path in files}


def is_record(path):
    """Whether a file tells what another one was made from."""
    return path.parent.name == ".origins"
