"""`python -m darkroom.cli`: the command without an installed script."""

from darkroom.cli import main

if __name__ == "__main__":
    main()
