"""The ffpp-* commands."""

from ffpp_tools.cli.demo import demo
from ffpp_tools.cli.doctor import doctor
from ffpp_tools.cli.extraction import extract, stills
from ffpp_tools.cli.selection import audit, clean, identify, split
from ffpp_tools.script import ffpp_script

_GOES_ON = "the same command goes on where this stopped"
_AGAIN = "run the same command again"

extract_app = ffpp_script(extract, _GOES_ON)
stills_app = ffpp_script(stills, _GOES_ON)
clean_app = ffpp_script(clean, _GOES_ON)
identify_app = ffpp_script(identify, _GOES_ON)
audit_app = ffpp_script(audit, _AGAIN)
split_app = ffpp_script(split, _AGAIN)
doctor_app = ffpp_script(doctor, _AGAIN)
demo_app = ffpp_script(demo, "delete the folder and run the same command again")
