"""Training the generator: what train.py puts together, in parts that can be used and tested alone.

data.py       training files in (instructions, chat messages, two columns) and out (from a processed inference output)
encoding.py   one example -> tokens within model_max_length, the answer never cut
tokenized.py  a file -> tokens, once, in a memory-mapped cache that all ranks share
packing.py    short examples into rows without padding and without attention across them
arguments.py  flags.py deepspeed.py   the published commands, params files and DeepSpeed files, checked
"""
