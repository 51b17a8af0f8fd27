"""What runs on a farm machine: the executor of one job, and the forwarder of its machine's lines.

The executor: `run` is its loop, `life` its core, `container` and `machine` what they stand on; it is kept small by
`lean`, `standins`, `answer`, `preloaded` and `values` and writes its own `log`. The forwarder is `forward`. Both print by
`out`, and share the `contract` with the framework.
"""

#: Of all that this checkout releases; the one place where it stands.
__version__ = "0.1.0"
