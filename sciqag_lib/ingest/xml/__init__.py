"""XML papers: which tag set a file is written in, and JATS, Elsevier's and TEI -> Document."""
