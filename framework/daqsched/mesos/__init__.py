"""The only place that knows Mesos: the driver in `connection`, and what translates between Mesos' messages and the
engine's own values, both pure: `incoming` and `outgoing`.
"""
