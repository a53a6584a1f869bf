"""The ffpp-* commands."""

from ffpp_tools.cli.demo import demo
from ffpp_tools.cli.doctor import doctor
from ffpp_tools.cli.export import export
from ffpp_tools.cli.extraction import extract, stills
from ffpp_tools.cli.selection import audit, clean, identify, split
from ffpp_tools.script import ffpp_script

_RESUMES = "run the same command again to resume"
_AGAIN = "run the same command again"

extract_app = ffpp_script(extract, _RESUMES)
stills_app = ffpp_script(stills, _RESUMES)
clean_app = ffpp_script(clean, _RESUMES)
identify_app = ffpp_script(identify, _RESUMES)
audit_app = ffpp_script(audit, _AGAIN)
split_app = ffpp_script(split, _AGAIN)
export_app = ffpp_script(export, _AGAIN)
doctor_app = ffpp_script(doctor, _AGAIN)
demo_app = ffpp_script(demo, "delete the folder and run the same command again")
