"""Write a Sidenote plugin in Python: see the modules `failure`, `http`, `webhook`, `source`, `values`, `text`, `config` and
`testing`."""

__version__ = "0.1.0"
