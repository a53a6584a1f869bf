"""Identity groups: which clips and stills must stay in the same split, with the evidence."""
