"""People score pairs in JupyterLab with the keyboard."""
