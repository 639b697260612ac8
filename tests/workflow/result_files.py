"""What is below a folder of results, to be compared."""


def contents(folder, pattern="**/*"):
    """The bytes of each file, by its path below the folder."""
    files = folder.glob(pattern)
    return {path.relative_to(folder): path.read_bytes() for path in files if path.is_file()}
