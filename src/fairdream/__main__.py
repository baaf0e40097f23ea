"""`python -m fairdream` is the command `fairdream`."""

from fairdream.cli.app import main

if __name__ == "__main__":
    main()
