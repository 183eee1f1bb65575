"""Benchmarks: `make bench`, or one with `make bench NAME=load ARGS="--seconds 60"`.

A benchmark is a module of this package with `main(arguments) -> int`, the exit status. It says what it does through
`harness` and ends with one JSON line. `QUICK`, where it stands, are the arguments with which `make bench` runs it along
with the others; a module without it runs only by its name.
"""
