"""`python -m hf_bones` is `hf-bones`; launchers start it so: `accelerate launch --module hf_bones train --recipe …`."""

from hf_bones.cli.main import main

if __name__ == "__main__":
    main()
