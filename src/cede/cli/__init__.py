"""The `cede` command. The floor above all others: nothing in cede imports it."""
