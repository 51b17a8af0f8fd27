"""From batches to Elasticsearch.

`elastic` delivers a batch whatever the cluster does, over a `connection`; `index_templates` come before the first line. Lines
that are refused in their full form are a `dead_letter`; those that are taken in no form go to the `dead_letter_file` on this
machine.
"""
