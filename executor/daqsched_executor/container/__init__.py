"""A program in a container: a runner process of ours stands where the program of another job would stand.

The executor starts, signals, kills and reaps the runner as it does a program; the runner (`runner`) has the machine's
container engine create, start and end the container, writes its lines to the sandbox's files, and ends as it ended.
A janitor (`janitor`) outlives the runner for a moment, so that no container outlives it.

``spec``     what passes from the executor to the runner and back, and what the engine is asked for       pure
``frames``   the engine's stream of lines, taken apart                                                    pure
``entry``    between fork and exec: the executor's child becomes the runner
``places``   the folders and devices of the machine that the container gets
``peer``     who listens where the engine should
``engine``   the only module that knows the package docker, imported here and in no other process
"""
