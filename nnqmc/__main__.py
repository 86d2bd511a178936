"""`python -m nnqmc` is the command line."""

from nnqmc.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
