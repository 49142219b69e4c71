"""External programs: ``first_letters.c``, a map in C, and ``longest.sh``, a reduce in shell."""
