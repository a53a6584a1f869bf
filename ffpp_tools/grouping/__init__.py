"""Identity groups: which clips and stills must not be separated, and why."""
