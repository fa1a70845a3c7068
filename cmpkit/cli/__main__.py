"""``python -m cmpkit.cli`` is the command ``cmpkit``."""

from cmpkit.cli.app import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
