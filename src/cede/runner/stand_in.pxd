# Nothing to declare: that this file is here has the module compiled, for each future and task that a program makes passes through it.
